"""How messages, tables and figures put things."""


def plural(count: int, noun: str) -> str:
    """A count with its noun, as in "1 run" and "2 runs"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
