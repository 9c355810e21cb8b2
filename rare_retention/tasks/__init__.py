"""Tasks: what a row or a sequence asks, and what the right answer is."""

from typing import Annotated

from rare_retention.registry import import_all
from rare_retention.tasks.comparison import Comparison
from rare_retention.tasks.digit_addition import DigitAddition
from rare_retention.tasks.injected import TASKS, Injected
from rare_retention.tasks.modular_addition import ModularAddition
from rare_retention.tasks.recall import Recall

__all__ = ["AnyTask", "Comparison", "DigitAddition", "ModularAddition", "Recall"]

import_all(__name__, __path__)

AnyTask = Annotated[Injected, TASKS]
"""Every task that can be injected into text: one for each module of this folder that adds one."""
