"""Seals: what a file of a workdir says of itself, and a digest of all that it holds.

A file may be whole and still not what its place says: another run's, an older one's, edited, or
damaged where its format checks nothing. What is sealed says what it is, such as the run and the
steps of a block of metrics, and its SHA-256 covers that and everything else in it.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from etils import epath

from rare_retention.errors import Damaged


class Foreign(Damaged):
    """A file is whole, and another run's."""


KEY = "seal"
"""Entry of a sealed file that holds its seal."""

_MAGIC = b"RRSEAL01"
_LENGTH = 4  # bytes of the length of a trailing seal


def _canonical(data: Any) -> bytes:
    return json.dumps(data, sort_keys=True, separators=(",", ":"), default=str).encode()


def of_json(data: Mapping[str, Any]) -> str:
    """SHA-256 of JSON values but for their seal, whatever their order and white space."""
    own = {name: value for name, value in data.items() if name != KEY}
    return hashlib.sha256(_canonical(json.loads(json.dumps(own)))).hexdigest()


def sealed_json(data: Mapping[str, Any]) -> dict[str, Any]:
    """The same values with their seal."""
    return {**data, KEY: of_json(data)}


def open_json(data: Any, path: epath.Path, remedy: str, required: bool = True) -> dict[str, Any]:
    """Sealed JSON values without their seal.

    Args:
        data: as read.
        path: of the file, for messages.
        remedy: what can be done about one that was changed.
        required: whether a file without a seal is refused; older versions wrote none.

    Raises:
        Damaged: they are not what was sealed.
    """
    if not isinstance(data, dict):
        raise Damaged(f"{path}: damaged, expected names and values; {remedy}")
    found = dict(data)
    seal = found.pop(KEY, None)
    if seal is None and not required:
        return found
    if seal != of_json(found):
        raise Damaged(f"{path}: edited or damaged, it differs from its digest; {remedy}")
    return found


def _of_arrays(about: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256(_canonical(about))
    for name in sorted(arrays):
        value = np.ascontiguousarray(arrays[name])
        digest.update(_canonical([name, value.dtype.str, value.shape]))
        digest.update(value.tobytes())
    return digest.hexdigest()


def sealed_arrays(
    about: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """The same arrays with their seal, an array of one text."""
    seal = {"about": dict(about), "sha256": _of_arrays(about, arrays)}
    return {**arrays, KEY: np.array(_canonical(seal).decode())}


def open_arrays(
    arrays: Mapping[str, np.ndarray],
    about: Mapping[str, Any],
    path: epath.Path,
    remedy: str,
    required: bool = True,
) -> dict[str, np.ndarray]:
    """Sealed arrays without their seal.

    Args:
        arrays: as read.
        about: what they have to be.
        path: of the file, for messages.
        remedy: what can be done about others.
        required: whether arrays without a seal are refused; older versions wrote none.

    Raises:
        Damaged: they are not what was sealed, or something else.
    """
    found = dict(arrays)
    text = found.pop(KEY, None)
    if text is None and not required:
        return found
    seal = _parsed(text)
    if seal is None or seal.get("sha256") != _of_arrays(seal["about"], found):
        raise Damaged(f"{path}: edited or damaged, it differs from its digest; {remedy}")
    _check_about(seal["about"], about, path, remedy)
    return found


def _parsed(text: Any) -> dict[str, Any] | None:
    try:
        seal = json.loads(str(text))
    except json.JSONDecodeError:
        return None
    return seal if isinstance(seal, dict) and isinstance(seal.get("about"), dict) else None


def _check_about(
    found: Mapping[str, Any], about: Mapping[str, Any], path: epath.Path, remedy: str
) -> None:
    for name, value in about.items():
        if found.get(name) != value:
            kind = Foreign if name == "run" else Damaged
            raise kind(
                f"{path}: is of {name} {found.get(name)}, where {value} was expected: it belongs "
                f"elsewhere; {remedy}"
            )


def with_trailer(data: bytes, about: Mapping[str, Any]) -> bytes:
    """Bytes of a file with a seal behind them; readers of HDF5 do not mind."""
    own = _canonical(about)
    seal = {"about": dict(about), "sha256": hashlib.sha256(own + data).hexdigest()}
    text = _canonical(seal)
    return data + text + len(text).to_bytes(_LENGTH, "big") + _MAGIC


def without_trailer(
    data: bytes, about: Mapping[str, Any], path: epath.Path, remedy: str
) -> tuple[bytes, bool]:
    """The bytes of a file without the seal behind them, and whether there was one.

    Args:
        data: of the whole file.
        about: what it has to be.
        path: of the file, for messages.
        remedy: what can be done about another.

    Raises:
        Damaged: it is not what was sealed, or something else.
    """
    if not data.endswith(_MAGIC):
        return data, False
    end = len(data) - len(_MAGIC) - _LENGTH
    length = int.from_bytes(data[end : end + _LENGTH], "big")
    own, text = data[: end - length], data[end - length : end]
    seal = _parsed(text.decode(errors="replace")) if 0 < length <= end else None
    if seal is None or seal.get("sha256") != (
        hashlib.sha256(_canonical(seal["about"]) + own).hexdigest()
    ):
        raise Damaged(f"{path}: edited or damaged, it differs from its digest; {remedy}")
    _check_about(seal["about"], about, path, remedy)
    return own, True
