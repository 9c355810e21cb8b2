"""Metrics on disk: blocks of measured states, each file whole or absent.

A block holds all values of some consecutive measured states. Blocks are written before every
checkpoint, so that whatever a kill leaves can be continued from the last checkpoint without a hole;
states measured after it are cut off and measured again, with the same result.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from etils import epath

from rare_retention.errors import UserError
from rare_retention.record.files import listed, read_arrays, write_arrays

FOLDER = "metrics"


class Metrics:
    """Collects the values of measured states and writes them in blocks."""

    def __init__(self, folder: epath.Path, identity: str) -> None:
        """Opens the metrics of a run.

        Args:
            folder: of the run.
            identity: fingerprint of its recipe.
        """
        self._folder = folder
        self._identity = identity
        self._rows: list[tuple[int, dict[str, np.ndarray]]] = []

    def add(self, step: int, values: dict[str, np.ndarray]) -> None:
        """Takes the values measured at state `step`, each [S, ...]."""
        self._rows.append((step, values))

    def flush(self) -> str:
        """Writes what was taken since the last block; its name, or "" where nothing was.

        Raises:
            UserError: the disk is full; nothing half-written stays behind.
        """
        if not self._rows:
            return ""
        states = [values for _, values in self._rows]
        steps = np.array([step for step, _ in self._rows], np.int64)
        names = sorted({name for values in states for name in values})
        arrays = {name: _column(states, name) for name in names}
        name = _write_block(self._folder, self._identity, {"step": steps, **arrays})
        self._rows.clear()
        return name


def _column(rows: list[dict[str, np.ndarray]], name: str) -> np.ndarray:
    """Values of one name, NaN where a state was not measured so (state 0 has no batch)."""
    like = next(values[name] for values in rows if name in values)
    return np.stack([values.get(name, np.full_like(like, np.nan)) for values in rows])


def read(
    folder: epath.Path, identity: str | None = None, sealed: bool = True
) -> dict[str, np.ndarray]:
    """All metrics of a run: "step" [T], and for each name [T, S, ...].

    Args:
        folder: of the run.
        identity: fingerprint of its recipe; None takes any run's.
        sealed: whether blocks without a seal are refused (`Manifest.sealed`).

    Raises:
        Damaged: a block is damaged, or another run's, or not that of its name.
    """
    blocks = [_read_block(path, identity, sealed) for path in _paths(folder)]
    if not blocks:
        return {}
    steps = np.concatenate([block.pop("step") for block in blocks])
    rows = [
        {name: values[i] for name, values in block.items()}
        for block in blocks
        for i in range(len(next(iter(block.values()))))
    ]
    names = sorted({name for block in blocks for name in block})
    return {"step": steps} | {name: _column(rows, name) for name in names}


def cut(folder: epath.Path, identity: str, step: int, sealed: bool = True) -> None:
    """Removes everything measured after state `step`; other arguments as `read`."""
    for path in _paths(folder):
        first, last = span(path.name)
        if first > step:
            path.unlink()
        elif last > step:
            block = _read_block(path, identity, sealed)
            kept = {name: values[block["step"] <= step] for name, values in block.items()}
            _write_block(folder, identity, kept)
            path.unlink()


def names(folder: epath.Path) -> list[str]:
    """Names of all blocks of a run, by the states in them."""
    return [path.name for path in _paths(folder)]


def span(name: str) -> tuple[int, int]:
    """First and last state of a block, by its name."""
    first, last = name.removesuffix(".npz").split("-")
    return int(first), int(last)


def damaged(folder: epath.Path, identity: str, sealed: bool = True) -> dict[str, UserError]:
    """Name of each block that cannot be read -> why; arguments as `read`."""
    found = {}
    for path in _paths(folder):
        try:
            _read_block(path, identity, sealed)
        except UserError as error:
            found[path.name] = error
    return found


def _paths(folder: epath.Path) -> list[epath.Path]:
    return [path for path in listed(folder / FOLDER, "[0-9]*-[0-9]*.npz") if _is_block(path.name)]


def _is_block(name: str) -> bool:
    return all(part.isdecimal() for part in name.removesuffix(".npz").split("-"))


def _write_block(folder: epath.Path, identity: str, arrays: Mapping[str, np.ndarray]) -> str:
    """Writes a block; returns its name."""
    first, last = int(arrays["step"][0]), int(arrays["step"][-1])
    path = folder / FOLDER / f"{first:012d}-{last:012d}.npz"
    write_arrays(path, arrays, _about(path, identity))
    return path.name


def _about(path: epath.Path, identity: str | None) -> dict[str, Any]:
    first, last = span(path.name)
    own = {} if identity is None else {"run": identity}
    return {"kind": "metrics", **own, "first": first, "last": last}


def _read_block(path: epath.Path, identity: str | None, sealed: bool) -> dict[str, np.ndarray]:
    return read_arrays(
        path,
        _about(path, identity),
        "the other blocks are intact: restore this one, or delete it and run the study again, "
        "which trains again what is missing",
        required=sealed,
    )
