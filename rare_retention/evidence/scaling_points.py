"""The points that a scaling law is fitted to: losses of sizes N after D tokens.

They stand in a CSV table or in the results of a study.
"""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import xarray as xr
from etils import epath

from rare_retention.errors import UserError
from rare_retention.evidence import states
from rare_retention.theory.checks import Array, IntArray

LENGTHS = "steps"
"""Dimension of a study's grid along which runs differ in length."""

SETTLED = 0.5
"""Share of a run from which on its measured steps may stand for shorter runs."""

_COLUMNS = ("N", "D", "loss", "task", "stream")
_KNOWN = {name.lower(): name for name in _COLUMNS}


@dataclass(frozen=True)
class Points:
    """Losses of one task, each of one run after some tokens.

    Attributes:
        task: name of the task.
        index: place of the task in its table or results.
        place: point of the grid, where a study varies more than sizes and lengths.
        parameters: N [points].
        tokens: D [points].
        loss: nats [points].
        stream: which stream of batches each was trained on [points].
        run: which run each was measured in; several may come from one [points].
    """

    task: str
    index: int
    place: str
    parameters: Array
    tokens: Array
    loss: Array
    stream: IntArray
    run: IntArray

    @property
    def name(self) -> str:
        """Task and place."""
        return ", ".join(filter(None, (self.task, self.place)))


class Table(NamedTuple):
    """What a CSV table holds.

    Attributes:
        points: of each task.
        unused: names of further columns.
    """

    points: list[Points]
    unused: tuple[str, ...]


def read_table(path: epath.Path) -> Table:
    """Points of each task of a CSV table, a row for the end of each run.

    Its header has N, D and loss and may have task, stream and others, in any case and order.
    Commas, semicolons or tabs stand between values; where commas do not, numbers may have a decimal
    one. Blank lines and a byte order mark are left out.

    Raises:
        UserError: there is no such file, or a line of it is not such a row.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; expected a CSV table with the columns N,D,loss")
    try:
        lines = path.read_bytes().decode("utf-8-sig").splitlines()
        first = next((line for line in lines if line.strip()), "")
        mark = next((mark for mark in ";\t" if mark in first), ",")
        rows = list(csv.reader(lines, delimiter=mark, skipinitialspace=True, strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: not a CSV table ({error})") from None
    numbered = [(line, row) for line, row in enumerate(rows, 1) if any(map(str.strip, row))]
    (line, names), numbered = (numbered[0], numbered[1:]) if numbered else ((1, []), [])
    header = [_KNOWN.get(name.strip().lower(), name.strip()) for name in names]
    _check_header(f"{path}:{line}", header)
    tasks: dict[str, list[dict[str, str]]] = {}
    for line, values in numbered:
        if len(values) != len(header):
            expected = f"expected {len(header)} values, {','.join(header)}"
            raise UserError(f"{path}:{line}: {expected}; got {','.join(values)}")
        row = dict(zip(header, map(str.strip, values), strict=True))
        _read_numbers(f"{path}:{line}", row, decimal="." if mark == "," else ",")
        tasks.setdefault(row.get("task", "loss"), []).append(row)
    if not tasks:
        raise UserError(f"{path}: holds no points, only a header")
    found = [_tabulated(task, index, own) for index, (task, own) in enumerate(tasks.items())]
    return Table(found, tuple(name for name in header if name not in _COLUMNS))


def _check_header(place: str, header: Sequence[str]) -> None:
    known = [name for name in header if name in _COLUMNS]
    lacking = [name for name in _COLUMNS[:3] if name not in header]
    if lacking or len(set(known)) < len(known):
        expected = "expected N,D,loss and, if wanted, task and stream"
        raise UserError(f"{place}: the columns are {','.join(header) or 'none'}; {expected}")


def _read_numbers(place: str, row: dict[str, str], decimal: str) -> None:
    """Checks the numbers of a row, and gives them a decimal point."""
    for name in _COLUMNS[:3]:
        # Three digits behind a mark may be thousands, but of a loss.
        if decimal == "," and name != "loss" and re.fullmatch(r"\d{1,3}([.,]\d{3})+", row[name]):
            raise UserError(f"{place}: {name}: expected digits without marks, got {row[name]!r}")
        row[name] = row[name].replace(decimal, ".")
        try:
            value = float(row[name])
        except ValueError:
            value = np.nan
        if name == "N" and not value.is_integer():
            raise UserError(f"{place}: N: expected a whole number of parameters, got {row[name]!r}")
        if not 0 < value < np.inf:
            raise UserError(f"{place}: {name}: expected a number above 0, got {row[name]!r}")


def _tabulated(task: str, index: int, rows: Sequence[dict[str, str]]) -> Points:
    return Points(
        task=task,
        index=index,
        place="",
        parameters=np.array([float(row["N"]) for row in rows]),
        tokens=np.array([float(row["D"]) for row in rows]),
        loss=np.array([float(row["loss"]) for row in rows]),
        stream=np.unique([row.get("stream", "") for row in rows], return_inverse=True)[1],
        run=np.arange(len(rows)),
    )


def read_results(results: xr.Dataset, since: float = 1.0) -> list[Points]:
    """Points of each task at each point of a study's grid; see `read_point`."""
    varied = [name for name in states.grid(results) if name != LENGTHS]
    found = []
    for point in states.points(results, [LENGTHS]):
        place = ", ".join(f"{name} = {point[name].item()}" for name in varied)
        found += read_point(point, since, place)
    return found


def read_point(point: xr.Dataset, since: float = 1.0, place: str = "") -> list[Points]:
    """Points of each task of finished runs at one grid point, but for runs of several lengths.

    Args:
        point: with the variables `loss` and `step_tokens`, the tokens of a step, so that
            D = step x step_tokens, and with N as the coordinate `parameters`.
        since: share of a run from which on measured steps count; at 1 the last alone does. Earlier
            ones are too high where the learning rate was still to decay.
        place: names of the grid point.

    Raises:
        UserError: the results do not say how many tokens a step has.
    """
    if "step_tokens" not in point:
        raise UserError("a scaling law counts tokens: the results lack `step_tokens` of a step")
    loss = states.finished(point)["loss"]
    runs = [name for name in ("stream", LENGTHS) if name in loss.dims]
    loss = loss.transpose(*runs, "step", "size", "initialisation", "task")
    values = loss.to_numpy().astype(np.float64)
    values = values.reshape(-1, *values.shape[len(runs) :])
    lengths = len(values) // loss.sizes["stream"]
    kept = np.stack([_counted(run, point["step"].to_numpy(), since) for run in values])
    run, step, size, draw = np.nonzero(kept.any(-1))
    shape = [point.sizes[name] for name in runs]
    per_step = np.broadcast_to(point["step_tokens"].to_numpy(), shape).ravel()  # of each run
    students = np.ravel_multi_index((run, size, draw), np.array(kept.shape)[[0, 2, 3]])
    found = []
    for index, task in enumerate(point["task"].to_numpy()):
        there = kept[run, step, size, draw, index]
        found.append(
            Points(
                task=str(task),
                index=index,
                place=place,
                parameters=point["parameters"].to_numpy()[size[there]].astype(np.float64),
                tokens=point["step"].to_numpy()[step[there]] * per_step[run[there]],
                loss=values[run, step, size, draw, index][there],
                stream=run[there] // lengths,
                run=students[there],
            )
        )
    return found


def _counted(run: Array, step: IntArray, since: float) -> np.ndarray:
    """Which values [step, width, initialisation, task] of a run count.

    None of a student does that has no value at the run's last measured step: it diverged.
    """
    there = np.isfinite(run)
    measured = there.any((1, 2, 3))
    if not measured.any():
        return there
    last = int(np.flatnonzero(measured)[-1])
    late = (step > 0) & (step >= since * step[last])
    return there & there[last] & late[:, None, None, None]
