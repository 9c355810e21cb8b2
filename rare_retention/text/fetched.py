"""What was fetched into a folder or a bucket: its record, one writer, and each file in one step.

`fetched.json` in the folder says of each file where it came from, and has its size and SHA-256; it
is sealed.
"""

import base64
import contextlib
import fcntl
import hashlib
import os
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import fsspec
from etils import epath

from rare_retention.config import config, fingerprint, from_dict, to_dict
from rare_retention.errors import UserError
from rare_retention.record.files import (
    disk,
    folder_to_disk,
    read_record,
    user_cache,
    write_record,
)
from rare_retention.text import download
from rare_retention.text.download import Failed, Stopped
from rare_retention.text.token_files import is_local, pieces

RECORD = "fetched.json"
"""What is known of the files that stand in a folder."""

EVERY = 10.0
"""Seconds between two writings of the record."""

_LOCK = ".fetch.lock"


@config
class Kept:
    """A file that was fetched.

    Attributes:
        url: from where.
        size: bytes.
        sha256: of all its bytes.
        digest: the list's own, which it was compared with; "" if the list had none.
    """

    url: str
    size: int
    sha256: str
    digest: str = ""


class Folder:
    """Where files are fetched to: their record, and one process at a time that writes it.

    Args:
        place: the folder, local or gs://.
        staging: local folder in which what is on its way to a bucket is kept; None: the user's
            cache. Files for a local folder stay beside their places.
    """

    def __init__(self, place: epath.Path, staging: Path | None = None) -> None:
        self.place = place
        self._local = Path(place) if is_local(place) else None
        cache = Path(user_cache()) / "fetch" / fingerprint({"to": str(place)})
        self.staging = self._local or staging or cache
        self._held = self._read()
        self._written = 0.0

    def _read(self) -> dict[str, Kept]:
        path = self.place / RECORD
        if not path.exists():
            return {}
        remedy = "remove it, and the files are read and recorded anew"
        files = read_record(path, remedy)["files"]
        return {name: from_dict(Kept, held) for name, held in files.items()}

    def known(self, name: str) -> Kept | None:
        """What the record has of a file."""
        return self._held.get(name)

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        """While entered, no other process on this machine fetches into the folder.

        Raises:
            UserError: another one does, or the folder cannot be written.
        """
        with disk(epath.Path(self.staging)):
            self.staging.mkdir(parents=True, exist_ok=True)
            (self.staging / _LOCK).touch()
        with open(self.staging / _LOCK, "wb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UserError(
                    f"{self.place}: another launch.fetch writes into it; wait until it has ended"
                ) from None
            self._held = self._read()
            try:
                yield
            finally:
                self.write_record(now=True)

    def add(self, name: str, held: Kept) -> None:
        """Records a file, at the latest `EVERY` seconds later or at the end."""
        self._held[name] = held
        self.write_record()

    def write_record(self, now: bool = False) -> None:
        """Writes the record, unless it was written a moment ago: buckets take one write a second.

        Args:
            now: write it if it has anything.
        """
        if self._held and (now or time.monotonic() > self._written + EVERY):
            files = {name: to_dict(held) for name, held in sorted(self._held.items())}
            write_record(self.place / RECORD, {"version": 1, "files": files})
            self._written = time.monotonic()

    def check_room(self, sizes: Sequence[int], connections: int) -> None:
        """Checks that the local disk has room for what is missing.

        Args:
            sizes: bytes of each missing file, as far as they are known.
            connections: files that are fetched at a time; on their way to a bucket these alone
                need room.

        Raises:
            UserError: it has not.
        """
        largest = sorted(sizes, reverse=True)
        needed = sum(largest if self._local else largest[:connections])
        there = self.staging
        while not there.exists():
            there = there.parent
        begun = sum(path.stat().st_size for path in self.staging.rglob(".*.part"))
        free = shutil.disk_usage(there).free + begun
        if needed > free:
            raise UserError(
                f"{self.staging}: {needed:,} bytes are needed there, and {free:,} are free; choose "
                f"another {'--to' if self._local else '--staging'}, or fetch a part of the list"
            )

    def put(self, path: Path, name: str, held: Kept, *, again: bool) -> None:
        """Moves a file that was fetched to its place, in one step.

        Args:
            path: of the file.
            name: its place in the folder.
            held: what it is.
            again: whether it takes the place of a damaged one.

        Raises:
            Failed: the bucket does not take it.
        """
        if self._local:
            os.replace(path, self._local / name)
            folder_to_disk(epath.Path((self._local / name).parent))
            return
        target = str(self.place / name)
        storage, place = fsspec.url_to_fs(target)
        mode = "overwrite" if again else "create"
        for tries in range(download.TRIES):
            try:
                storage.put_file(str(path), place, mode=mode)
                break
            except FileExistsError:
                if tries == 0:  # else an earlier try has arrived after all: it is looked at below
                    raise Failed(f"{target}: another process has put it there meanwhile") from None
                break
            except Exception as error:
                if tries == download.TRIES - 1:
                    reason = " ".join(f"{type(error).__name__}: {error}".split())
                    raise Failed(f"{target}: cannot be written ({reason})") from None
                time.sleep(download.PAUSE * 2**tries)
        storage.invalidate_cache(place)
        about = storage.info(place)
        told, md5 = about.get("md5Hash"), hash_file(path, "md5")
        if about["size"] != held.size or told not in (None, _base64(md5)):
            storage.rm_file(place)
            raise Failed(
                f"{target}: the bucket had other bytes than were sent, and they were removed; the "
                "same command tries again"
            )
        path.unlink()

    def folder_of(self, name: str) -> Path:
        """Local folder in which what has come of a file is kept; it is made."""
        folder = (self.staging / name).parent
        folder.mkdir(parents=True, exist_ok=True)
        return folder


def _base64(digits: str) -> str:
    return base64.b64encode(bytes.fromhex(digits)).decode()


def hash_file(path: Path | epath.Path, kind: str, stop: threading.Event | None = None) -> str:
    """A digest of a file, in hexadecimal digits; ends where `stop` is set.

    Raises:
        Stopped: it was.
    """
    digest = hashlib.new(kind)
    for content in pieces(epath.Path(path)):
        if stop is not None and stop.is_set():
            raise Stopped
        digest.update(content)
    return digest.hexdigest()
