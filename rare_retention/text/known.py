"""What was found out about token files, kept for the next time the same files are opened.

It stands in `rare_retention/texts` of the user's cache, and may be deleted at any time.
"""

import contextlib
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

from rare_retention.config import fingerprint
from rare_retention.errors import UserError
from rare_retention.record.files import read_json, user_cache, write_json
from rare_retention.text.token_files import TokenFile, is_local

FOLDER = "texts"
SETTLED = 2.0  # seconds that a file's times may lag behind: one that changed later is not yet known


def known(files: Sequence[TokenFile], what: str, find: Callable[[], Any]) -> Any:
    """What `find` returned for these files when they were last asked, or returns now.

    A file is the same while its place, size, times and number on the disk are.

    Args:
        files: of a corpus.
        what: names what is asked, with all that decides the answer but the files.
        find: gives the answer, as JSON values.
    """
    told = [[_place(file), file.tokens, *file.stamp] for file in files]
    key = fingerprint({"what": what, "dtype": files[0].dtype, "files": told})
    path = user_cache() / FOLDER / f"{key}.json"
    with contextlib.suppress(OSError, UserError, KeyError, TypeError):  # not known yet, or damaged
        return read_json(path)["found"]
    settled = time.time() - SETTLED
    keep = all(file.stamp and file.changed < settled for file in files)
    found = find()
    if keep:
        with contextlib.suppress(OSError, UserError):  # where it cannot be kept it is found again
            write_json(path, {"what": what, "found": found})
    return found


def _place(file: TokenFile) -> str:
    return os.path.abspath(file.path) if is_local(file.path) else str(file.path)
