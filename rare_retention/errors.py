"""Errors that a user caused and can put right: shown as one line, without a traceback."""

from collections.abc import Iterator
from contextlib import contextmanager


class UserError(Exception):
    """A mistake in what the user asked for. A launcher prints the message and exits with `code`."""

    code = 2


class Damaged(UserError):
    """A file of a run is not what was written. Other runs can go on."""


class ConfigError(UserError, ValueError):
    """A configuration that cannot be honoured.

    `str()` is one line such as `configs/x.py:12: run.model.width: expected an integer, got '64x'`.

    Args:
        field: Dotted path of the field, such as `run.tasks[3].rate`; empty where none is at fault.
            A `__post_init__` names its own field, `rate`, and the path to its dataclass is added.
        message: What is wrong and, where it can be known, what would be right.
        source: File, or file and line, in which the mistake stands.
    """

    def __init__(self, field: str, message: str, source: str = "") -> None:
        super().__init__(field, message, source)
        self.field = field
        self.message = message
        self.source = source

    def __str__(self) -> str:
        return ": ".join(part for part in (self.source, self.field, self.message) if part)


@contextmanager
def below(path: str) -> Iterator[None]:
    """While entered, a ConfigError names its field below this path, such as `run`."""
    try:
        yield
    except ConfigError as error:
        field = ".".join(filter(None, (path, error.field)))
        raise ConfigError(field, error.message, error.source) from None
