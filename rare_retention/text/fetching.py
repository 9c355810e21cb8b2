"""Files of a list fetched into a folder or a bucket: what is missing, and how it comes."""

import contextlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import requests
from etils import epath

from rare_retention.errors import UserError
from rare_retention.record.files import disk, write
from rare_retention.text import download
from rare_retention.text.download import Download, Failed
from rare_retention.text.fetched import RECORD, Folder, Kept, hash_file
from rare_retention.text.token_files import SUFFIXES, status
from rare_retention.text.urls import Wanted
from rare_retention.text.workers import each

ORDER = "corpus.txt"
"""The token files of the last list that was fetched, in its order, as corpus.path takes them."""

_MARK = "# the token files of a list, in its order; launch.fetch writes this file anew\n"

State = Literal["whole", "absent", "damaged"]


@dataclass(frozen=True)
class Found:
    """How it stands with a wanted file.

    Attributes:
        wanted: the file; its size is that of the server where the list has none, if known.
        state: whether it has to be fetched, and why.
        held: what is known of it: of one that is damaged, of what it was.
        fault: what the server said when it was asked for the size, if it has no such file.
    """

    wanted: Wanted
    state: State
    held: Kept | None = None
    fault: str = ""

    @property
    def length(self) -> int | None:
        """Bytes, None where unknown."""
        return self.held.size if self.held else self.wanted.size


def find(
    wanted: Sequence[Wanted],
    folder: Folder,
    own: requests.Session,
    *,
    verify: bool = False,
    threads: int = 16,
    advance: Callable[[int], object] = lambda _: None,
) -> list[Found]:
    """Finds out which files stand in a folder; servers are asked for sizes that no one knows.

    Args:
        wanted: the files.
        folder: where they are to stand.
        own: session in which servers are asked.
        verify: read all files and compare them with their digests.
        threads: files at a time.
        advance: is told how many files have been looked at.

    Raises:
        UserError: a file stands there that is none of the list's.
    """
    stop = threading.Event()

    def look(one: Wanted) -> Found:
        found = _state(one, folder, own, verify, stop)
        if found.state == "absent" and found.length is None:
            try:
                found = replace(found, wanted=replace(one, size=download.ask_size(one.url, own)))
            except Failed as error:
                found = replace(found, fault=str(error))
        return found

    answers: dict[Wanted, Found] = {}
    with contextlib.closing(each(look, wanted, threads, stop)) as pairs:
        for one, answer in pairs:
            if isinstance(answer, BaseException):
                raise answer
            answers[one] = answer
            advance(1)
    return [answers[one] for one in wanted]


def _state(
    one: Wanted, folder: Folder, own: requests.Session, verify: bool, stop: threading.Event
) -> Found:
    path, known = folder.place / one.name, folder.known(one.name)
    if known and known.url != one.url:
        raise UserError(f"{path}: was fetched from {known.url}, not {one.url}; choose another --to")
    try:
        size = status(path)[0]
    except FileNotFoundError:
        return Found(one, "absent", known)
    if known and size != known.size:
        return Found(one, "damaged", known)
    if known and not verify and one.digest in ("", known.digest) and one.size in (None, size):
        return Found(one, "whole", known)
    if known is None:
        _check_size(path, size, one, own)
    held = _held(path, size, one, stop)
    if known is None and held is None:
        raise UserError(
            f"{path}: differs from the list's digest; remove it, or choose another --to"
        )
    if held is None or (known and held.sha256 != known.sha256):
        return Found(one, "damaged", known)
    return Found(one, "whole", held)


def _check_size(path: epath.Path, size: int, one: Wanted, own: requests.Session) -> None:
    """Checks the size of a file that was not fetched by this program."""
    expected = one.size if one.size is not None else download.ask_size(one.url, own)
    if expected not in (None, size):
        raise UserError(
            f"{path}: has {size:,} bytes, and {one.url} {expected:,}; remove it, or choose another "
            "--to"
        )


def _held(
    path: Path | epath.Path, size: int, one: Wanted, stop: threading.Event | None = None
) -> Kept | None:
    """What a file is; None where it differs from what the list says."""
    if one.size not in (None, size):
        return None
    sha256 = hash_file(path, "sha256", stop)
    kind, _, digits = one.digest.partition(":")
    if kind and digits != (sha256 if kind == "sha256" else hash_file(path, kind, stop)):
        return None
    return Kept(url=one.url, size=size, sha256=sha256, digest=one.digest)


def fetch(
    missing: Sequence[Found],
    folder: Folder,
    own: requests.Session,
    *,
    connections: int,
    advance: Callable[[int], object],
    say: Callable[[str], object],
) -> int:
    """Fetches files, several at a time; a failure of one is said and the others go on.

    Args:
        missing: the files.
        folder: where they go, opened.
        own: session of the downloads.
        connections: files at a time.
        advance: is told of bytes that have come.
        say: is told of failures, one line each.

    Returns:
        How many files failed.

    Raises:
        UserError: the disk is full.
    """
    stop, failures = threading.Event(), 0

    def one(found: Found) -> Kept:
        return _fetch_one(found, folder, own, advance, stop)

    with contextlib.closing(each(one, missing, connections, stop)) as pairs:
        for found, answer in pairs:
            if isinstance(answer, Failed):
                say(str(answer))
                failures += 1
            elif isinstance(answer, BaseException):
                with disk(epath.Path(folder.staging)):
                    raise answer
            else:
                folder.add(found.wanted.name, answer)
    return failures


def _fetch_one(
    found: Found,
    folder: Folder,
    own: requests.Session,
    advance: Callable[[int], object],
    stop: threading.Event,
) -> Kept:
    one = found.wanted
    coming = Download(one, folder.folder_of(one.name), own, advance, stop)
    path = coming.run()
    held = _held(path, path.stat().st_size, one, stop)
    if held is None and coming.resumed:  # what came before may be at fault
        coming.discard()
        path = coming.run()
        held = _held(path, path.stat().st_size, one, stop)
    if held is None:
        coming.discard()
        raise Failed(f"{one.url}: what came has not the list's digest, {one.digest}")
    before = found.held
    if before and not one.digest and held.sha256 != before.sha256:
        coming.discard()
        raise Failed(
            f"{one.url}: gives other bytes than those that were fetched before; choose another "
            f"--to, or remove {folder.place / RECORD} to take them"
        )
    folder.put(path, one.name, held, again=found.state == "damaged")
    return held


def write_order(wanted: Sequence[Wanted], folder: Folder) -> epath.Path | None:
    """Writes which token files there are, in the order of the list, for corpus.path.

    Returns:
        Its path; None where the list has no token files, or a file of the user's stands there.
    """
    names = [one.name for one in wanted if one.name.endswith(SUFFIXES)]
    path = folder.place / ORDER
    if not names or (path.exists() and not path.read_text().startswith(_MARK)):
        return None
    text = _MARK + "".join(f"{name}\n" for name in names)
    write(path, lambda file: file.write(text.encode()))
    return path
