"""One file from a web server: whole, going on where an earlier attempt ended, tried again.

What has come stands in a file whose name ends in .part. Its name has a tag of what the server said
of the file (its size, and its ETag or time), so that two versions of a file are never joined.
"""

import os
import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests
import urllib3

from rare_retention.config import fingerprint
from rare_retention.errors import UserError
from rare_retention.text.urls import Wanted

TRIES = 6
"""How often a file is asked for in a row without any more of it coming."""

PAUSE = 1.0
"""Seconds before the second try, on average; each pause is twice as long as the one before."""

SYNCED = 2**24
"""Bytes after which what has come is brought to the disk; a later attempt goes on from there."""

TIMEOUT = (15.0, 60.0)
"""Seconds: for a connection, and for the next bytes."""

_PIECE = 2**20
_LONGEST = 120.0  # seconds of a pause
_AGAIN = {408, 425, 429, 500, 502, 503, 504}
_PLAIN = {"Accept-Encoding": "identity"}  # bytes as they are stored: .gz is not to be unpacked


class Failed(UserError):
    """A file cannot be fetched; others can."""


class Stopped(Exception):
    """The user has asked to stop."""


class _Again(Exception):
    """An attempt has failed, and another may not.

    Args:
        reason: what was seen.
        after: seconds that the server wants to be left alone.
    """

    def __init__(self, reason: str, after: float = 0.0) -> None:
        super().__init__(reason)
        self.after = after


def session(connections: int) -> requests.Session:
    """A session that so many threads may use at once."""
    found = requests.Session()
    adapter = requests.adapters.HTTPAdapter(pool_maxsize=connections)
    found.mount("http://", adapter)
    found.mount("https://", adapter)
    return found


def ask_size(url: str, own: requests.Session) -> int | None:
    """Bytes of a file, None where the server does not say.

    Raises:
        Failed: there is no such file, or no such server.
    """
    try:
        with own.head(url, headers=_PLAIN, timeout=TIMEOUT, allow_redirects=True) as response:
            if response.status_code in (404, 410):
                raise Failed(f"{url}: {_said(response)}")
            length = response.headers.get("Content-Length", "")
            return int(length) if response.ok and length.isdigit() else None
    except requests.exceptions.RequestException as error:
        raise Failed(f"{url}: {_short(error)}") from None


_PASSING = (_Again, requests.exceptions.RequestException, urllib3.exceptions.HTTPError)


class Download:
    """Fetches one file.

    Args:
        wanted: the file.
        folder: local, in which what has come is kept; its file is called as the wanted one's.
        own: as `session` makes it.
        advance: is told how many more bytes there are; less than none where it begins anew.
        stop: once set, the download ends.
    """

    def __init__(
        self,
        wanted: Wanted,
        folder: Path,
        own: requests.Session,
        advance: Callable[[int], object],
        stop: threading.Event,
    ) -> None:
        self._wanted, self._folder, self._session = wanted, folder, own
        self._advance, self._stop = advance, stop
        self._at = 0
        self._begun = False
        self.resumed = False

    def run(self) -> Path:
        """Fetches what is not there yet.

        Returns:
            The file of all bytes, which still has to be moved to its place. `resumed` then says
            whether some of them are of an earlier attempt.

        Raises:
            Failed: the server has no such file, or one of another size, or gives up.
            Stopped: `stop` was set.
        """
        furthest, tries = 0, 0
        while True:
            try:
                return self._attempt()
            except _PASSING as e:
                tries = 1 if self._at > furthest else tries + 1
                furthest = max(furthest, self._at)
                if tries >= TRIES:
                    raise Failed(
                        f"{self._wanted.url}: {_short(e)}, {tries} times in a row; the same "
                        "command tries again"
                    ) from None
                pause = PAUSE * 2 ** (tries - 1) * random.uniform(0.5, 1.5)
                self._wait(min(max(pause, getattr(e, "after", 0.0)), _LONGEST))

    def discard(self) -> None:
        """Removes what has come."""
        for path in self._parts():
            path.unlink(missing_ok=True)
        self._move(0)

    def _attempt(self) -> Path:
        parts = self._parts()
        part = parts[0] if len(parts) == 1 else None
        # A byte is asked for again: there is no answer to a request for none.
        held = max(part.stat().st_size - 1, 0) if part else 0
        if not self._begun:  # of another process, which may have ended with the machine
            held = held // SYNCED * SYNCED
        self._begun = True
        headers = _PLAIN | ({"Range": f"bytes={held}-"} if held else {})
        with self._session.get(
            self._wanted.url, headers=headers, stream=True, timeout=TIMEOUT
        ) as response:
            start, size = self._start(response, held)
            path = self._folder / f"{self._prefix}{_tag(self._wanted.url, size, response)}.part"
            if start and path != part:
                self.discard()
                raise _Again("the file has changed on the server")
            if not start:
                self.discard()
            self.resumed |= start > 0
            self._take(response, path, start)
        got = path.stat().st_size
        if size is not None and got != size:
            raise _Again(f"the answer ended after {got:,} of {size:,} bytes")
        self._compare(got)
        return path

    def _start(self, response: requests.Response, held: int) -> tuple[int, int | None]:
        """From which byte the answer is, and how many the file has; checks that it fits."""
        status = response.status_code
        if status == 416:  # behind the end: the file has become shorter, or was whole
            self.discard()
            raise _Again(_said(response))
        if status in _AGAIN:
            after = response.headers.get("Retry-After", "")
            raise _Again(_said(response), float(after) if after.isdigit() else 0.0)
        if status not in (200, 206):
            raise Failed(f"{self._wanted.url}: {_said(response)}")
        start, size = 0, None
        if status == 206:
            span, _, total = response.headers.get("Content-Range", "").partition("/")
            if not span.startswith(f"bytes {held}-"):
                self.discard()
                raise _Again(f"the server sends {span or 'a part'}, not from byte {held:,} on")
            start, size = held, int(total) if total.isdigit() else None
        elif (length := response.headers.get("Content-Length", "")).isdigit():
            size = int(length)
        if size is not None:
            self._compare(size)
        return start, size

    def _compare(self, size: int) -> None:
        if self._wanted.size not in (None, size):
            self.discard()
            raise Failed(
                f"{self._wanted.url}: has {size:,} bytes, but the list says "
                f"{self._wanted.size:,}; mend the list, or fetch it from elsewhere"
            )

    def _take(self, response: requests.Response, path: Path, start: int) -> None:
        """Writes an answer behind what is there, to the disk every so often."""
        raw: Any = response.raw
        self._move(start)
        with open(path, "r+b" if start else "wb") as file:
            file.truncate(start)
            file.seek(start)
            while content := raw.read(_PIECE, decode_content=False):
                if self._stop.is_set():
                    raise Stopped
                file.write(content)
                before = self._at // SYNCED
                self._move(self._at + len(content))
                if self._at // SYNCED > before:
                    file.flush()
                    os.fsync(file.fileno())
            file.flush()
            os.fsync(file.fileno())

    @property
    def _prefix(self) -> str:
        return f".{self._wanted.name.rpartition('/')[2]}."

    def _parts(self) -> list[Path]:
        """What earlier attempts have left."""
        names = [entry.name for entry in os.scandir(self._folder)]
        suffix = len(".part") + _TAG
        return [
            self._folder / name
            for name in names
            if name.startswith(self._prefix)
            and name.endswith(".part")
            and len(name) == len(self._prefix) + suffix
        ]

    def _move(self, to: int) -> None:
        self._advance(to - self._at)
        self._at = to

    def _wait(self, seconds: float) -> None:
        if self._stop.wait(seconds):
            raise Stopped


_TAG = 8


def _tag(url: str, size: int | None, response: requests.Response) -> str:
    """What tells a version of a file from others, as far as the server says."""
    told = response.headers.get("ETag") or response.headers.get("Last-Modified") or ""
    return fingerprint({"url": url, "size": size, "told": told})[:_TAG]


def _said(response: requests.Response) -> str:
    return f"the server answers {response.status_code} {response.reason or ''}".strip()


def _short(error: Exception) -> str:
    """An error of the network in a few words: libraries nest them."""
    cause: Any = error
    while cause.args and isinstance(cause.args[0], Exception):
        cause = cause.args[0]
    cause = getattr(cause, "reason", cause)
    text = " ".join(str(cause).split())
    match error:
        case _Again():
            return text
        case requests.exceptions.Timeout() | urllib3.exceptions.TimeoutError():
            return f"no answer in time ({text})"
        case _:
            return f"the connection failed ({text})"
