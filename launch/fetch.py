"""Fetches the files of a list of URLs, such as those of Dolma, into a folder or a bucket.

Example:
    python -m launch.fetch --manifest=urls.txt --to=gs://bucket/dolma --strip=1
    python -m launch.fetch --manifest=urls.txt --to=dolma --dry_run

A line of the list is a URL, and may go on with the file's size in bytes and its digest (md5, sha1
or sha256, in hexadecimal digits), - where one is not known. A file stands where its URL's path
says, without the first --strip folders. What has the wrong size or digest is refused; of files
without a digest the SHA-256 is recorded in fetched.json. Running the same command again goes on
where it was stopped; with --verify all files are read, and those that are damaged are fetched
again. A failure is one line, the other files go on, and the exit code is 1.
"""

import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags
from etils import epath
from tqdm import tqdm

from launch import common
from rare_retention import flags as command_line
from rare_retention.errors import UserError
from rare_retention.record.files import disk
from rare_retention.wording import plural

if TYPE_CHECKING:
    from rare_retention.text.fetched import Folder
    from rare_retention.text.fetching import Found

_MANIFEST = command_line.define_path("manifest", None, "list of URLs, one a line")
_TO = command_line.define_path("to", None, "folder of the files, local or gs://", shared=True)
_STRIP = flags.DEFINE_integer(
    "strip", 0, "leading folders of each URL's path that are left out", lower_bound=0
)
_CONNECTIONS = flags.DEFINE_integer(
    "connections", 8, "files that are fetched at a time", lower_bound=1, upper_bound=64
)
_STAGING = command_line.define_path(
    "staging", None, "local folder for what is on its way to a bucket; by default in ~/.cache"
)
_VERIFY = flags.DEFINE_bool(
    "verify",
    False,
    "read all files and compare them with their digests",
    allow_override=True,  # other launchers have one of this name
)

flags.declare_key_flag("dry_run")


def main(_: list[str]) -> int:
    """Fetches the files; returns the exit code, 1 if one is missing in the end."""
    common.quieten()
    try:
        with disk(epath.Path(_TO.value)):
            return _fetch()
    except ImportError as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"a package is missing: {reason}; the extra `gcs` has that of gs://"
        ) from None


def _fetch() -> int:
    from rare_retention.text import download, fetching
    from rare_retention.text.fetched import Folder
    from rare_retention.text.urls import read_list

    wanted = read_list(epath.Path(_MANIFEST.value), _STRIP.value)
    folder = Folder(epath.Path(_TO.value), _staging())
    own = download.session(_CONNECTIONS.value)

    def find() -> list["Found"]:
        with tqdm(total=len(wanted), unit="file", leave=False, desc="looking") as bar:
            return fetching.find(wanted, folder, own, verify=_VERIFY.value, advance=bar.update)

    if common.DRY_RUN.value:
        return _plan(folder, find())
    with folder.open():
        found = find()
        missing = [each for each in found if each.state != "whole"]
        for each in found:
            if each.state == "whole" and each.held and each.held != folder.known(each.wanted.name):
                folder.add(each.wanted.name, each.held)
            if each.state == "damaged":
                print(f"{folder.place / each.wanted.name}: is damaged, and is fetched again")
        folder.check_room([each.length or 0 for each in missing], _CONNECTIONS.value)
        failures = _download(folder, missing)
        order = None if failures else fetching.write_order(wanted, folder)
    print(
        f"{folder.place}: {plural(len(missing) - failures, 'file')} fetched, "
        f"{len(found) - len(missing):,} stood there"
    )
    if failures:
        print(f"{plural(failures, 'file')} failed; the same command tries again", file=sys.stderr)
    if order:
        print(f"corpus.path={order} reads the token files in the order of the list")
    return 1 if failures else 0


def _download(folder: "Folder", missing: Sequence["Found"]) -> int:
    """Fetches what is missing, under a bar in bytes; how many files failed."""
    from rare_retention.text import download, fetching

    lock = threading.Lock()
    total = sum(each.length or 0 for each in missing)
    with tqdm(total=total or None, unit="B", unit_scale=True, disable=not missing) as bar:

        def advance(count: int) -> None:
            with lock:
                bar.update(count)

        return fetching.fetch(
            missing,
            folder,
            download.session(_CONNECTIONS.value),
            connections=_CONNECTIONS.value,
            advance=advance,
            say=lambda line: tqdm.write(line, file=sys.stderr),
        )


def _staging() -> Path | None:
    if _STAGING.value is None:
        return None
    if "://" in _STAGING.value:
        raise UserError(f"--staging={_STAGING.value}: expected a local folder")
    if "://" not in (_TO.value or ""):
        raise UserError("--staging is for a bucket; files for a local folder stay in it")
    return Path(_STAGING.value)


def _plan(folder: "Folder", found: Sequence["Found"]) -> int:
    """Prints what would be fetched; the exit code, 1 if a file is damaged."""
    missing = [each for each in found if each.state != "whole"]
    for each in missing:
        size = each.fault or "of unknown size" if each.length is None else f"{each.length:,} bytes"
        print(f"{each.state}: {each.wanted.name}, {size}")
    unknown = sum(each.length is None for each in missing)
    total = sum(each.length or 0 for each in missing)
    more = f" and {plural(unknown, 'file')} of unknown size" if unknown else ""
    print(
        f"{folder.place}: {len(missing):,} of {plural(len(found), 'file')} to fetch, {total:,} "
        f"bytes ({tqdm.format_sizeof(total, 'B')}){more}"
    )
    return 1 if any(each.state == "damaged" for each in missing) else 0


if __name__ == "__main__":
    flags.mark_flags_as_required(["manifest", "to"])
    command_line.run(main)
