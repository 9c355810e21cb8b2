"""Gradient rules: what a step does with the gradients of the tasks before it applies them."""

from typing import Annotated

from rare_retention.registry import import_all
from rare_retention.rules.rule import RULES, Rule

import_all(__name__, __path__)

AnyRule = Annotated[Rule, RULES]
"""Every rule that a run can name."""
