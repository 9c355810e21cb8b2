"""How many different interchange interventions there are on the tokens of a task."""

from rare_retention.config import ConfigError

PAIRS = 1000
"""Interventions that a search learns from, where nothing else is asked."""


def check_pairs(symbols: int, position: int, count: int) -> None:
    """Checks that two sets of different interventions can be drawn.

    Raises:
        ConfigError: there are not as many.
    """
    most = symbols ** free(position) // 2
    if not 1 <= count <= most:
        raise ConfigError(
            "pairs",
            f"expected 1 to {most:,}, half of the different interventions on {symbols} symbols, "
            f"got {count:,}",
        )


def free(position: int) -> int:
    """Tokens that make a difference: both of the base, and those of the source that are seen."""
    return 3 if position == 0 else 4
