"""Files that are whole or absent: written beside their place, then moved into it."""

import contextlib
import errno
import fnmatch
import json
import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any

import numpy as np
from etils import epath

from rare_retention.errors import Damaged, UserError
from rare_retention.record import seal

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
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}.tmp")
    with disk(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as file:
                fill(file)
                _to_disk(file)
            temporary.replace(path)
            folder_to_disk(path.parent)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def _to_disk(file: IO[bytes]) -> None:
    """Has the system write a local file out: a rename must not be kept where its content is not."""
    try:
        number = file.fileno()
    except (AttributeError, OSError):
        return  # of an object store, which has the whole object or none
    file.flush()
    os.fsync(number)


def folder_to_disk(folder: epath.Path) -> None:
    """Has the system write a local folder out: the names in it outlive a loss of power.

    Args:
        folder: local; on an object store, and where folders cannot be opened, nothing is done.
    """
    try:
        opened = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(opened)
    except OSError:
        pass  # a file system that cannot, such as some that are mounted over a network
    finally:
        os.close(opened)


def tree_to_disk(folder: epath.Path) -> None:
    """Has the system write all files and folders of a local tree out, innermost first."""
    if not os.path.isdir(folder):
        return
    for place, _, names in os.walk(folder, topdown=False):
        for name in names:
            with contextlib.suppress(OSError):
                number = os.open(os.path.join(place, name), os.O_RDONLY)
                try:
                    os.fsync(number)
                finally:
                    os.close(number)
        folder_to_disk(epath.Path(place))


def write_record(path: epath.Path, data: Mapping[str, Any]) -> None:
    """Writes JSON with its seal in one step."""
    write_json(path, seal.sealed_json(data))


def read_record(path: epath.Path, remedy: str, required: bool = True) -> dict[str, Any]:
    """Reads JSON that `write_record` has written.

    Args:
        path: of the file.
        remedy: what the user can do about one that was edited or damaged.
        required: whether one without a seal is refused.

    Raises:
        UserError: it is not what was written.
    """
    return seal.open_json(read_json(path), path, remedy, required)


def write_json(path: epath.Path, data: Any) -> None:
    """Writes JSON in one step."""
    text = json.dumps(data, indent=2) + "\n"
    write(path, lambda file: file.write(text.encode()))


def read_json(path: epath.Path) -> Any:
    """Reads JSON.

    Raises:
        Damaged: the file is no JSON.
    """
    try:
        return json.loads(path.read_text())
    except (ValueError, RecursionError) as error:
        raise Damaged(
            f"{path}: damaged, not valid JSON ({error}); restore it, or choose another workdir"
        ) from None


def read_object(path: epath.Path) -> dict[str, Any]:
    """Reads JSON that is names and values; errors as `read_json`, and where it is something else.

    Raises:
        Damaged: it is none.
    """
    found = read_json(path)
    if not isinstance(found, dict):
        raise Damaged(
            f"{path}: damaged, no names and values; restore it, or choose another workdir"
        )
    return found


def user_cache() -> epath.Path:
    """Folder for what can be made again: `rare_retention` in ~/.cache, or in XDG_CACHE_HOME."""
    cache = epath.Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    return cache / "rare_retention"


def write_arrays(
    path: epath.Path, arrays: Mapping[str, np.ndarray], about: Mapping[str, Any]
) -> None:
    """Writes arrays as one compressed .npz file in one step; equal arrays make equal files.

    Args:
        path: where the file is to stand.
        arrays: by name.
        about: what they are, JSON values, sealed with them.
    """
    named: dict[str, Any] = seal.sealed_arrays(about, arrays)
    write(path, lambda file: np.savez_compressed(file, **named))


def read_arrays(
    path: epath.Path, about: Mapping[str, Any], remedy: str, required: bool = True
) -> dict[str, np.ndarray]:
    """Reads the arrays of a .npz file.

    Args:
        path: of the file.
        about: what they have to be.
        remedy: what the user can do about a damaged file.
        required: whether a file without a seal is refused.

    Raises:
        Damaged: the file is missing, damaged or something else.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            found = dict(arrays)
    except FileNotFoundError:
        raise Damaged(f"{path}: missing; {remedy}") from None
    except Exception as error:  # readers of archives raise whatever damaged bytes make them raise
        raise Damaged(f"{path}: damaged ({' '.join(str(error).split())}); {remedy}") from None
    return seal.open_arrays(found, about, path, remedy, required)
