"""What a recorded value is: its dimensions, its unit and what it means."""

from typing import NamedTuple


class Quantity(NamedTuple):
    """What a recorded value or a constant of the tasks is.

    Attributes:
        dims: its dimensions; of a recorded value those after the student and the step.
        unit: such as "nats".
        meaning: in a few words.
    """

    dims: tuple[str, ...]
    unit: str
    meaning: str
