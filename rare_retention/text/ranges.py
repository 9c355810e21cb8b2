"""Ranges of bytes of files on object stores: many requests at once, each tried again if it fails.

The requests are those of fsspec's `cat_ranges`, which runs them side by side where the file system
is asynchronous, as that of gs:// is.
"""

import random
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import fsspec

from rare_retention.errors import UserError

REQUESTS = 64
"""Requests under way at once in one call of `read`: each waits for the network."""

TRIES = 6
"""How often a range is asked for before `read` gives up."""

PAUSE = 0.5
"""Seconds before the second try, on average; each pause is twice as long as the one before."""

_PIECE = 2**23  # bytes of one request for a file that is read from its start to its end
_AT_ONCE = 8  # such requests

_FINAL = (FileNotFoundError, PermissionError, NotImplementedError, TypeError, ValueError)


class Range(NamedTuple):
    """Bytes `start` to `stop` of the file `path`, such as gs://bucket/file."""

    path: str
    start: int
    stop: int


def read(asked: Sequence[Range]) -> list[bytes]:
    """Reads ranges; those that fail are asked for again, after a pause.

    Args:
        asked: what to read, from any number of files.

    Returns:
        The bytes of each, in their order.

    Raises:
        UserError: a file is missing or shorter than asked for, or does not answer.
    """
    found = [b""] * len(asked)
    left = [i for i, one in enumerate(asked) if one.stop > one.start]
    for tries in range(1, TRIES + 1):
        answers = dict(zip(left, _ask([asked[i] for i in left]), strict=True))
        left = []
        for i, answer in answers.items():
            if isinstance(answer, bytes):
                _compare(answer, asked[i])
                found[i] = answer
            elif _is_final(answer) or tries == TRIES:
                raise _failure(answer, asked[i], tries) from answer
            else:
                left.append(i)
        if not left:
            break
        time.sleep(PAUSE * 2 ** (tries - 1) * random.uniform(0.5, 1.5))  # not all hosts at once
    return found


def pieces(path: str, size: int) -> Iterator[bytes]:
    """All of a file from its start to its end, a few megabytes at a time.

    Args:
        path: of the file.
        size: its bytes.
    """
    starts = range(0, size, _PIECE)
    for first in range(0, len(starts), _AT_ONCE):
        some = starts[first : first + _AT_ONCE]
        yield from read([Range(path, start, min(start + _PIECE, size)) for start in some])


def _ask(asked: Sequence[Range]) -> list[bytes | BaseException]:
    """What each range holds, or the error that came instead."""
    places = {path: fsspec.url_to_fs(path) for path in {one.path for one in asked}}
    found: dict[int, Any] = {}
    for storage in {id(storage): storage for storage, _ in places.values()}.values():
        own = [i for i, one in enumerate(asked) if places[one.path][0] is storage]
        names = [places[asked[i].path][1] for i in own]
        starts, stops = [asked[i].start for i in own], [asked[i].stop for i in own]
        limit = {"batch_size": REQUESTS} if storage.async_impl else {}
        answers = storage.cat_ranges(names, starts, stops, on_error="return", **limit)
        found |= dict(zip(own, answers, strict=True))
    return [found[i] for i in range(len(asked))]


def _compare(answer: bytes, asked: Range) -> None:
    """Refuses an answer of another length: a request that was cut short is an error before this."""
    expected = asked.stop - asked.start
    if len(answer) < expected:
        raise _shorter(asked.path)
    if len(answer) > expected:
        raise UserError(
            f"{asked.path}: the server sends {len(answer):,} bytes where {expected:,} were asked "
            "for; it does not serve ranges, so copy the file to storage that does"
        )


def _is_final(error: BaseException) -> bool:
    """Whether asking again is of no use."""
    return isinstance(error, _FINAL) or _status(error) == 416


def _status(error: BaseException) -> int | None:
    """The HTTP status behind an error, None where there is none."""
    status = getattr(error, "status", None) or getattr(error, "code", None)
    return int(str(status)) if str(status).isdigit() else None


def _failure(error: BaseException, asked: Range, tries: int) -> UserError:
    if isinstance(error, FileNotFoundError):
        return UserError(f"{asked.path}: is missing; copy it again")
    if _status(error) == 416:  # the range starts behind the end
        return _shorter(asked.path)
    reason = " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(": ")
    after = f"after {tries} tries " if tries > 1 else ""
    return UserError(
        f"{asked.path}: bytes {asked.start:,} to {asked.stop:,} cannot be read {after}({reason}); "
        "run the same command again when the storage answers"
    )


def _shorter(path: str) -> UserError:
    return UserError(f"{path}: has become shorter since it was opened; copy it again")
