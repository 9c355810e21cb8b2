"""Fits a scaling law to the losses of a study or a table, and says which sizes can learn what.

Example:
    python -m launch.scaling --workdir=runs/ladder
    python -m launch.scaling --table=points.csv --tasks=all --folder=fits

A table is CSV with the columns N (parameters), D (tokens), loss (nats) and, if wanted, task and
stream, in any case and order, with commas, semicolons or tabs between them; each row is the end of
a run. Of a study the last measured step of each finished run counts. A task in which no law shows,
such as one that no size learns, is named and left out. Writes scaling.json, scaling.png and
scaling.svg.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO, Any

import numpy as np
from absl import flags
from etils import epath

from launch import common
from rare_retention import flags as command_line
from rare_retention.errors import ConfigError, UserError
from rare_retention.evidence import scaling_fit, scaling_points
from rare_retention.evidence.scaling_points import Points
from rare_retention.record.files import write, write_json
from rare_retention.study.folder import RESULTS
from rare_retention.study.results import load_own
from rare_retention.theory.scaling import checked_epsilon

_TABLE = command_line.define_path("table", None, "CSV table of points, in place of a study")
_TASKS = flags.DEFINE_string("tasks", "0", "index or name of the task whose loss is fitted, or all")
_ALL_STEPS = flags.DEFINE_bool(
    "all_steps",
    False,
    "count every measured step of the second half of each run, as if it were the end of a shorter "
    "run; these losses are too high where the learning rate was still to decay",
)
_EPSILON = flags.DEFINE_float(
    "epsilon", 0.0, "nats by which a size must fall short for ever to need a larger model"
)
_HUBER = flags.DEFINE_float(
    "huber",
    scaling_fit.HUBER,
    "residual of log L from which on it counts by its size; Hoffmann et al. take 0.001",
    lower_bound=1e-6,
)
_FOLDER = command_line.define_path(
    "folder", None, "folder to write to; by default that of the points"
)

flags.declare_key_flag("workdir")


def main(arguments: Sequence[str]) -> int:
    """Fits, prints and writes; returns the exit code."""
    from rare_retention.report.figures import scaling as figure
    from rare_retention.report.figures import style

    common.quieten()
    if arguments:
        raise UserError(f"unexpected argument {arguments[0]!r}; flags are given as --name=VALUE")
    epsilon = _epsilon()
    points, names, folder = _read()
    fits, lines = [], []
    for one in _chosen(points):
        try:
            fits.append(scaling_fit.fit(one, huber=_HUBER.value))
        except UserError as error:
            lines.append(f"not fitted: {error}")
    if not fits:
        raise UserError("; ".join(lines).removeprefix("not fitted: "))
    found = [scaling_fit.summary(fitted, epsilon) for fitted in fits]
    for line in [*(line for one in found for line in _lines(one, names)), *lines]:
        print(line)
    output = epath.Path(_FOLDER.value or folder)
    write_json(output / "scaling.json", found)
    rows = [figure.Row(fitted.points.name, fitted.points, fitted) for fitted in fits]
    drawn = figure.draw(
        rows, names, "point: mean of equal runs; bars: least to greatest; bands: 95%"
    )
    _save(output / "scaling.png", style.png(drawn))
    _save(output / "scaling.svg", style.svg(drawn))
    print(f"{output}: scaling.json, scaling.png and scaling.svg")
    return 0


def _epsilon() -> float:
    try:
        return checked_epsilon(_EPSILON.value)
    except ValueError as error:
        raise UserError(f"--{error}") from None


def _read() -> tuple[list[Points], dict[int, str], epath.Path]:
    """The points, the names of their sizes, and the folder in which they stand."""
    from rare_retention.report.figures import data

    if (_TABLE.value is None) == (common.WORKDIR.value is None):
        raise UserError("one of --workdir and --table is needed, as in --workdir=runs/ladder")
    if _TABLE.value is not None:
        if _ALL_STEPS.value:
            raise UserError("--all_steps needs a study, as in --workdir=runs/ladder --all_steps")
        table = epath.Path(_TABLE.value)
        points, unused = scaling_points.read_table(table)
        if unused:
            print(f"{table}: columns that are not used: {', '.join(unused)}")
        sizes = np.unique(np.concatenate([one.parameters for one in points]))
        return points, {int(size): _short(size) for size in sizes}, table.parent
    workdir = common.workdir()
    results = load_own(workdir / RESULTS)
    since = scaling_points.SETTLED if _ALL_STEPS.value else 1.0
    return scaling_points.read_results(results, since), data.names_by_parameters(results), workdir


def _chosen(points: Sequence[Points]) -> list[Points]:
    """The points of the tasks that --tasks names."""
    wanted = _TASKS.value
    tasks = {one.index: one.task for one in points}
    chosen = [one for one in points if wanted in ("all", str(one.index), one.task)]
    if not chosen:
        listed = ", ".join(f"{task} ({name})" for task, name in tasks.items())
        raise ConfigError("tasks", f"expected {listed or 'a finished run'} or all, got {wanted!r}")
    return chosen


def _lines(found: Mapping[str, Any], names: Mapping[int, str]) -> Iterator[str]:
    """What a law says, as lines of a terminal."""
    yield f"{found['name']}: {found['points']} points of {len(found['sizes'])} sizes"
    yield "  L(N, D) = L0 + A / N^alpha + B / D^beta"
    for symbol, value in zip(("L0", "A", "alpha", "B", "beta"), found["law"].values(), strict=True):
        yield f"  {symbol:<6} {_interval(value)}"
    yield f"  scatter {found['scatter']:.2%}; 95% intervals over {found['covers']}"
    yield f"  {'compute':<11} {'best size N':<26} {'tokens D':<26} loss"
    for row in found["frontier"]:
        cells = [_interval(row[name], _short) for name in ("parameters", "tokens")]
        loss = _interval(row["loss"]) + _mark(row)
        yield f"  {row['compute']:<11.0e} {cells[0]:<26} {cells[1]:<26} {loss}"
    yield f"  {'size':<11} {'infinite data L_inf':<26} {'compute-optimal L_C':<26} at tokens D"
    for row in found["sizes"]:
        cells = [_interval(row[name]) for name in ("infinite_data_loss", "compute_optimal_loss")]
        tokens = _interval(row["optimal_tokens"], _short) + _mark(row)
        yield f"  {names[int(row['parameters'])]:<11} {cells[0]:<26} {cells[1]:<26} {tokens}"
    pairs = f"L_inf(small) - L_C(large), epsilon = {found['epsilon']:g}"
    yield f"  {'small':<11} {'large':<11} {'learnable via':<15} {pairs}"
    for row in found["pairs"]:
        small, large = (names[int(row[name])] for name in ("small", "large"))
        yield f"  {small:<11} {large:<11} {row['verdict']:<15} {_interval(row['shortfall'])}"
    if any(row["extrapolated"] for row in [*found["frontier"], *found["sizes"]]):
        yield "  * outside the sizes or tokens that were measured"


def _interval(value: Mapping[str, float], show: Callable[[float], str] = "{:.4g}".format) -> str:
    return f"{show(value['estimate'])} ({show(value['low'])} to {show(value['high'])})"


def _mark(row: Mapping[str, Any]) -> str:
    return " *" if row["extrapolated"] else ""


def _short(number: float) -> str:
    """A count in three digits, such as 6.96M."""
    for unit, size in (("T", 1e12), ("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return f"{number:.3g}"


def _save(path: epath.Path, content: bytes) -> None:
    def fill(file: IO[bytes]) -> None:
        file.write(content)

    write(path, fill)


if __name__ == "__main__":
    command_line.run(main)
