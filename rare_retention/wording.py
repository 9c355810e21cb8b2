"""How messages, tables and figures put things."""


def plural(count: int, noun: str) -> str:
    """A count with its noun, as in "1 run" and "2 runs"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def duration(seconds: float) -> str:
    """A time span in its two largest units, such as "2h 05m"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    hours = whole // 3600
    if hours < 48:
        return f"{hours}h {whole % 3600 // 60:02d}m"
    return f"{hours // 24}d {hours % 24:02d}h"
