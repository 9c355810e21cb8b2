"""Files that are whole or absent: written beside their place, then moved into it."""

import errno
import fnmatch
import json
import os
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any

import numpy as np
from etils import epath

from rare_retention.errors import UserError

CONFIG = "config.json"
"""Where the folder of a run says what was asked for."""

_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EEXIST, errno.ENOTDIR)
_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def disk(path: epath.Path) -> Iterator[None]:
    """Turns a failed write below `path` into one clear line.

    Raises:
        UserError: the disk is full, the quota is used up or the place cannot be written.
    """
    try:
        yield
    except Exception as error:
        if is_full(error):
            raise UserError(
                f"{path}: no space left on the disk; what was saved before is intact: free some "
                "space and run the same command again"
            ) from error
        if isinstance(error, OSError) and error.errno in _FORBIDDEN:
            raise UserError(f"{path}: cannot be written ({error.strerror})") from error
        raise


def is_full(error: BaseException | None) -> bool:
    """Whether a full disk is behind an error, whatever the library that wrote has made of it."""
    while error is not None:
        if getattr(error, "errno", None) in _FULL or os.strerror(errno.ENOSPC) in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def listed(folder: epath.Path, pattern: str) -> list[epath.Path]:
    """What stands in a folder under a name that matches, sorted; nothing where there is no folder.

    Unlike a path's own `glob` it takes the folder as it is called: `runs/e[2]` is no pattern.

    Args:
        folder: local or remote.
        pattern: of names, with `*`, `?` and `[...]`.
    """
    if not folder.exists():
        return []
    return sorted(path for path in folder.iterdir() if fnmatch.fnmatchcase(path.name, pattern))


def write(path: epath.Path, fill: Callable[[IO[bytes]], object]) -> None:
    """Writes a file in one step: a kill or a full disk leaves the old one, or none.

    Args:
        path: where the file is to stand; its folder is made.
        fill: writes the content into an open binary file.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    with disk(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as file:
                fill(file)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def write_json(path: epath.Path, data: Any) -> None:
    """Writes JSON in one step."""
    text = json.dumps(data, indent=2) + "\n"
    write(path, lambda file: file.write(text.encode()))


def read_json(path: epath.Path) -> Any:
    """Reads JSON.

    Raises:
        UserError: the file is no JSON.
    """
    try:
        return json.loads(path.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(
            f"{path}: damaged, not valid JSON ({error}); restore it, or choose another workdir"
        ) from None


def user_cache() -> epath.Path:
    """Folder for what can be made again: `rare_retention` in ~/.cache, or in XDG_CACHE_HOME."""
    cache = epath.Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    return cache / "rare_retention"


def write_arrays(path: epath.Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes arrays as one compressed .npz file in one step; equal arrays make equal files."""
    named: dict[str, Any] = dict(arrays)
    write(path, lambda file: np.savez_compressed(file, **named))


def read_arrays(path: epath.Path, remedy: str) -> dict[str, np.ndarray]:
    """Reads the arrays of a .npz file.

    Args:
        path: of the file.
        remedy: what the user can do about a damaged file.

    Raises:
        UserError: the file is missing or damaged.
    """
    try:
        with path.open("rb") as file, np.load(file) as arrays:
            return dict(arrays)
    except FileNotFoundError:
        raise UserError(f"{path}: missing; {remedy}") from None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"{path}: damaged ({' '.join(str(error).split())}); {remedy}") from None
