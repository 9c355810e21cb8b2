"""Instruments: what is measured inside the compiled step, beside the training that it watches."""

from typing import Annotated

from rare_retention.instruments.instrument import INSTRUMENTS, Instrument
from rare_retention.registry import import_all

import_all(__name__, __path__)

AnyInstrument = Annotated[Instrument, INSTRUMENTS]
"""Every instrument that a run can list."""
