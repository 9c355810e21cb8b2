"""One writer for one folder: a lock that outlives no process for long.

The lock is a file that only one process can create. It says who holds it; while it is held, a
thread writes a number into a file beside it every few seconds, its heartbeat. A holder on the same
machine that has ended is known at once; of one elsewhere the heartbeat is watched, by the clock of
the watcher alone, and the lock is taken over once it has stood still for long enough. Local disks
and NFS create a file for one process only; so do object stores, when asked for a new object.
"""

import contextlib
import json
import os
import socket
import threading
import time
import uuid
import warnings
from collections.abc import Iterator
from typing import Any

from etils import epath

from rare_retention.errors import UserError
from rare_retention.parallel import any_host, is_primary
from rare_retention.record.files import disk
from rare_retention.record.holder import HEARTBEAT, NAME, STALE, boot, read, started
from rare_retention.record.pulses import Pulses

GUARD = "lock.takeover"

EVERY = 10.0
"""Seconds between two heartbeats."""


class Lost(UserError):
    """The lock was taken over by another process while it was held."""


class Held(UserError):
    """Another process holds the lock.

    Attributes:
        by: which one, such as "process 4711 on node3".
    """

    def __init__(self, message: str, by: str = "") -> None:
        super().__init__(message)
        self.by = by


class Lock:
    """The lock of one folder, as a context manager.

    Attributes:
        folder: whose only writer holds it.
        lost: whether it was taken over meanwhile.
    """

    def __init__(
        self,
        folder: epath.Path,
        stale: float = STALE,
        every: float = EVERY,
        pulses: Pulses | None = None,
    ) -> None:
        """Names the lock; nothing is written yet.

        Args:
            folder: whose only writer is to be this process; made if it is not there.
            stale: seconds without a heartbeat after which a holder elsewhere has ended.
            every: seconds between two heartbeats.
            pulses: what earlier looks saw of heartbeats elsewhere: with them one look is enough,
                and who has not been silent for long yet holds the lock; None watches until known.
        """
        self.folder, self._stale, self._every = folder, stale, every
        self._pulses = pulses
        self._token = uuid.uuid4().hex
        self._done = threading.Event()
        self._thread: threading.Thread | None = None
        self.lost = False

    def __enter__(self) -> "Lock":
        """Takes the lock, from a holder that has ended if need be.

        Raises:
            Held: another process holds it.
        """
        with disk(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        while not self._create():
            holder = self._holder()
            if holder is None:
                continue  # it was given back meanwhile
            if not self._has_ended(holder):
                by = f"process {holder['process']} on {holder['host']}"
                raise Held(
                    f"{self.folder}: is being written by {by} since {holder['since']}; wait until "
                    "it has ended, or stop it",
                    by,
                )
            with disk(self.folder):
                self._take_over(holder)
        self._beat(0)
        self._thread = threading.Thread(target=self._keep, daemon=True, name="lock")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Gives the lock back."""
        self._done.set()
        if self._thread is not None:
            self._thread.join()
        with contextlib.suppress(OSError):
            if self._is_own():
                (self.folder / HEARTBEAT).unlink(missing_ok=True)
                (self.folder / NAME).unlink(missing_ok=True)

    def check(self) -> None:
        """Checks that the lock is still held.

        Raises:
            Lost: another process has taken it over, since no heartbeat reached the folder.
        """
        if self.lost:
            raise Lost(
                f"{self.folder}: was taken over by another process, since this one's heartbeat "
                f"did not reach it for {self._stale:g} seconds; this one writes no more"
            )

    def _create(self) -> bool:
        """Makes the lock's file, unless there is one."""
        with disk(self.folder):
            return _create_only(self.folder / NAME, self._about())

    def _about(self) -> bytes:
        about = {
            "token": self._token,
            "process": os.getpid(),
            "started": started(os.getpid()),
            "host": socket.gethostname(),
            "boot": boot(),
            "since": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
        }
        return json.dumps(about).encode()

    def _holder(self) -> dict[str, Any] | None:
        """Who holds the lock; None where nobody does."""
        return read(self.folder / NAME)

    def _is_own(self) -> bool:
        holder = self._holder()
        return holder is not None and holder["token"] == self._token

    def _has_ended(self, holder: dict[str, Any], name: str = NAME) -> bool:
        """Whether who has made a file has ended; watches its heartbeat where that is not known."""
        here = holder["host"] == socket.gethostname() and holder["boot"] == boot()
        if here and (now := started(holder["process"])) != "?":
            return bool(now != holder["started"])
        if self._pulses is not None:
            silent = self._pulses.silent(self.folder / name, self._pulse(holder))
            return silent >= self._stale
        warnings.warn(
            f"{self.folder}: was being written by process {holder['process']} on "
            f"{holder['host']}; watching for {self._stale:g} seconds whether it still is",
            stacklevel=4,
        )
        path = self.folder / name
        waited, before = time.monotonic(), self._pulse(holder)
        while time.monotonic() - waited < self._stale:
            time.sleep(min(1.0, self._stale / 10))
            if self._pulse(read(path) or {}) != before:
                return read(path) is None
        return True

    def _pulse(self, holder: dict[str, Any]) -> tuple[Any, str]:
        """What changes while a lock is held, and when its holder changes."""
        try:
            beat = (self.folder / HEARTBEAT).read_text()
        except OSError:
            beat = ""
        return holder.get("token"), beat

    def _take_over(self, holder: dict[str, Any]) -> None:
        """Removes the lock of a holder that has ended, if nobody else has meanwhile.

        Only who has made a second file may: of several that try one looks again and removes.
        """
        guard = self.folder / GUARD
        if not _create_only(guard, self._about()):
            before = read(guard)
            if before is not None and self._has_ended(before, GUARD) and read(guard) == before:
                guard.unlink(missing_ok=True)  # who made it was killed within these few lines
            time.sleep(0.05)
            return
        try:
            if (found := self._holder()) is not None and found["token"] == holder["token"]:
                (self.folder / NAME).unlink(missing_ok=True)
                warnings.warn(
                    f"{self.folder}: taken over from process {holder['process']} on "
                    f"{holder['host']}, which has ended",
                    stacklevel=3,
                )
        finally:
            guard.unlink(missing_ok=True)

    def _keep(self) -> None:
        beat, seen = 1, time.monotonic()
        while not self._done.wait(self._every):
            # Whatever a folder that is away for a while raises: the next beat may reach it.
            with contextlib.suppress(Exception):
                holder = self._holder()
                if holder is not None and holder["token"] == self._token:
                    self._beat(beat)
                    beat, seen = beat + 1, time.monotonic()
                    continue
                if holder is not None and holder["token"] != "?":
                    self.lost = True
                    return
            if time.monotonic() - seen > self._stale:  # another may have come and gone
                self.lost = True
                return

    def _beat(self, number: int) -> None:
        with disk(self.folder):
            (self.folder / HEARTBEAT).write_text(f"{self._token} {number}")


@contextlib.contextmanager
def only_writer(folder: epath.Path) -> Iterator[Lock]:
    """Makes this job the only writer of a folder: its first process holds the lock for all.

    Args:
        folder: that all processes of the job see.

    Raises:
        Held: another job holds it; all processes of this one raise it together.
    """
    lock = Lock(folder)
    refused: Exception | None = None
    if is_primary():
        try:
            lock.__enter__()
        except Exception as error:  # whatever it is, the other processes must hear of it
            refused = error
    if any_host(refused is not None):
        raise refused or Held(f"{folder}: the first host cannot write it; see its message")
    try:
        yield lock
    finally:
        if is_primary():
            lock.__exit__()


def _create_only(path: epath.Path, content: bytes) -> bool:
    """Makes a file with this content unless there is one; whether it was made."""
    if "://" in str(path):
        return _create_object(str(path), content)
    try:
        number = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
    except FileExistsError:
        return False
    try:
        with os.fdopen(number, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        os.unlink(path)
        raise
    return True


def _create_object(path: str, content: bytes) -> bool:
    """The same on an object store, which is asked for a new object."""
    import fsspec

    store, place = fsspec.core.url_to_fs(path)
    try:
        store.pipe_file(place, content, mode="create")
    except FileExistsError:
        return False
    return True
