"""Tasks: what a row or a sequence asks, and what the right answer is."""

from typing import Annotated

from pydantic import Field

from rare_retention.tasks.comparison import Comparison
from rare_retention.tasks.modular_addition import ModularAddition
from rare_retention.tasks.recall import Recall

AnyTask = Annotated[Comparison | ModularAddition | Recall, Field(discriminator="kind")]
"""Every task that can be injected into text."""
