"""Metrics on disk: blocks of measured states, each file whole or absent.

A block holds all values of some consecutive measured states. Blocks are written before every
checkpoint, so that whatever a kill leaves can be continued from the last checkpoint without a hole;
states measured after it are cut off and measured again, with the same result.
"""

import time
from collections.abc import Sequence

import numpy as np
from etils import epath

from rare_retention.record.board import board_path, write_board
from rare_retention.record.files import listed, read_arrays, write_arrays

FOLDER = "metrics"


class Metrics:
    """Collects the values of measured states and writes them in blocks."""

    def __init__(self, folder: epath.Path, students: Sequence[str]) -> None:
        """Opens the metrics of a run.

        Args:
            folder: of the run.
            students: label of each student, for TensorBoard.
        """
        self._folder = folder
        self._students = students
        self._rows: list[tuple[int, float, dict[str, np.ndarray]]] = []

    def add(self, step: int, values: dict[str, np.ndarray]) -> None:
        """Takes the values measured at state `step`, each [S, ...]."""
        self._rows.append((step, time.time(), values))

    def flush(self) -> None:
        """Writes what was taken since the last block.

        Raises:
            UserError: the disk is full; nothing half-written stays behind.
        """
        if not self._rows:
            return
        states = [values for _, _, values in self._rows]
        steps = np.array([step for step, _, _ in self._rows], np.int64)
        names = sorted({name for values in states for name in values})
        arrays = {name: _column(states, name) for name in names}
        path = self._folder / FOLDER / f"{steps[0]:012d}-{steps[-1]:012d}.npz"
        write_arrays(path, {"step": steps, **arrays})
        write_board(self._folder, self._students, self._rows)
        self._rows.clear()


def _column(rows: list[dict[str, np.ndarray]], name: str) -> np.ndarray:
    """Values of one name, NaN where a state was not measured so (state 0 has no batch)."""
    like = next(values[name] for values in rows if name in values)
    return np.stack([values.get(name, np.full_like(like, np.nan)) for values in rows])


def read(folder: epath.Path) -> dict[str, np.ndarray]:
    """All metrics of a run: "step" [T], and for each name [T, S, ...].

    Raises:
        UserError: a block is damaged.
    """
    blocks = [_read_block(path) for path in _paths(folder)]
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


def cut(folder: epath.Path, step: int) -> None:
    """Removes everything measured after state `step`."""
    for path in _paths(folder):
        first, last = (int(part) for part in path.stem.split("-"))
        if first > step:
            path.unlink()
            board_path(folder, first).unlink(missing_ok=True)
        elif last > step:
            block = _read_block(path)
            kept = {name: values[block["step"] <= step] for name, values in block.items()}
            name = f"{first:012d}-{kept['step'][-1]:012d}.npz"
            write_arrays(path.with_name(name), kept)
            path.unlink()


def _paths(folder: epath.Path) -> list[epath.Path]:
    return listed(folder / FOLDER, "[0-9]*.npz")


def _read_block(path: epath.Path) -> dict[str, np.ndarray]:
    run = path.parent.parent
    return read_arrays(
        path,
        f"the other blocks are intact: restore this one, or delete the run {run} to train it again",
    )
