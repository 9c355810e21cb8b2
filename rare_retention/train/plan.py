"""At which steps a run stops to measure, to snapshot and to checkpoint."""

import dataclasses
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import PartitionSpec

from rare_retention.config import ConfigError
from rare_retention.errors import below
from rare_retention.experiment import Run
from rare_retention.schedule.schedule import History, Schedule
from rare_retention.settings.mixture import rarest_watched
from rare_retention.settings.quantity import Quantity
from rare_retention.settings.traced import traced_of
from rare_retention.train.state import Arguments, Blueprint, abstract
from rare_retention.train.step import step_quantities
from rare_retention.train.updates import weight_name

BYTES_PER_MB = 2**20


class Plan(NamedTuple):
    """States of a run, as numbers of updates applied, at which something is recorded.

    Attributes:
        stops: states that are measured; compiled calls end here. Ascending, without 0, ends with
            the last step.
        snapshots: states whose parameters are kept; every one is 0 or a stop.
        checkpoints: states from which the run can be resumed; every one is a stop.
        states: states that are kept whole, for branches to go on from; every one is a stop.
    """

    stops: tuple[int, ...]
    snapshots: tuple[int, ...]
    checkpoints: tuple[int, ...]
    states: tuple[int, ...] = ()


def make_plan(run: Run, schedule: Schedule, history: History | None = None) -> Plan:
    """Merges the regular measurements with those around exposures.

    Args:
        run: what is trained.
        schedule: of its stream.
        history: of the watched tasks up to the last step; None counts what is needed of it.

    Raises:
        ConfigError: the run cannot realise its schedule, its optimizer or its rule, or has not a
            state that is to be kept whole.
    """
    schedule.check(run.steps)
    _check_matrices(run)
    if run.rule is not None:
        run.rule.check(run.setting)
    states = _whole_states(run)
    rare = rarest_watched(run.setting)
    exposures: list[int] = []
    if run.measure.cycles or run.snapshots.cycles:
        _check_withheld(run, schedule, rare)
        if rare in schedule.left_out:  # a control is measured where the task would be shown
            schedule, history = (
                dataclasses.replace(run, exposure=run.exposure.whole).schedule(),
                None,
            )
        if history is None:
            shown = schedule.exposures(run.start, run.steps, rare)
        else:
            shown = history.exposures[run.setting.watch_ids.index(rare)].steps
        exposures = shown[(shown >= run.start) & (shown < run.steps)].tolist()
    measured = _regular(run, run.measure.every) - {run.start}
    snapshots: set[int] = set()
    if run.snapshots.every:
        snapshots |= _regular(run, run.snapshots.every) | {run.steps}
    for chosen, cycles, per_doubling in (
        (measured, run.measure.cycles, run.measure.per_doubling),
        (snapshots, run.snapshots.cycles, 1),
    ):
        chosen |= around(exposures, run.steps, cycles, per_doubling)
        if rare not in schedule.withheld:  # each stream has exposures of its own
            length = run.steps - run.start
            chosen |= {
                run.start + step
                for step in common(schedule.rate(rare), length, cycles, per_doubling)
            }
    checkpoints = _regular(run, run.checkpoints.every) - {run.start} | {run.steps}
    stops = (measured | snapshots | checkpoints | set(states)) - {run.start}
    return Plan(tuple(sorted(stops)), tuple(sorted(snapshots)), tuple(sorted(checkpoints)), states)


def _check_matrices(run: Run) -> None:
    """Refuses Muon where it would be AdamW for every weight of a model."""
    if run.optimizer.method != "muon":
        return
    family = run.setting.family
    for student in family.models:
        weights = jax.eval_shape(family.init, np.uint32(0))[student.group]
        named = [(weight_name(path), leaf) for path, leaf in jax.tree.leaves_with_path(weights)]
        if not any(family.matrix(name, leaf.ndim - 1) for name, leaf in named):
            raise ConfigError(
                "optimizer.method",
                f"'muon' is for matrices, and no weight of a {run.setting.kind} model of size "
                f"{student.size} is one; expected 'adamw' or 'sgd', or say in `Family.matrix` or "
                "`Architecture.matrices` which are",
            )


def _regular(run: Run, every: int) -> set[int]:
    """States at equal distances, from the one that the run starts from on."""
    return set(range(run.start, run.steps, every))


def _whole_states(run: Run) -> tuple[int, ...]:
    """States that are to be kept whole.

    Raises:
        ConfigError: one of them is none of the run's.
    """
    outside = [step for step in run.snapshots.states if not run.start < step <= run.steps]
    if outside:
        raise ConfigError(
            "snapshots.states",
            f"step {outside[0]} is none of the run's: expected above {run.start}, at most "
            f"{run.steps}",
        )
    return tuple(sorted(set(run.snapshots.states)))


def _check_withheld(run: Run, schedule: Schedule, rare: int) -> None:
    """Refuses to record the cycles of a task that has none, or between the bursts of others."""
    if not run.setting.frequencies[rare]:
        raise ConfigError(
            "setting.watch",
            f"cycles of the watched tasks are to be recorded, but {run.setting.task_names[rare]} "
            "is never shown; expected one that is among them",
        )
    if schedule.withheld and rare not in schedule.withheld:
        names = run.setting.task_names
        others = ", ".join(names[k] for k in schedule.withheld)
        raise ConfigError(
            "exposure.withheld",
            f"cycles of {names[rare]}, the rarest watched task, are to be recorded, but the bursts "
            f"are of {others}; expected {rare} among them, or another setting.watch",
        )


def around(exposures: Sequence[int], steps: int, cycles: int, per_doubling: int) -> set[int]:
    """States before, after and log-spaced behind some exposures, evenly chosen.

    Args:
        exposures: steps of the batches that hold the task, ascending; may be none.
        steps: of the run.
        cycles: exposures to choose.
        per_doubling: states for each doubling of the steps since an exposure.
    """
    if not exposures:  # as may be where they are drawn
        return set()
    chosen = np.unique(np.linspace(0, len(exposures) - 1, cycles).round().astype(int))
    states: set[int] = set()
    for i in chosen.tolist():
        shown = exposures[i]
        following = exposures[i + 1] if i + 1 < len(exposures) else steps
        offsets = log_spaced(following - shown - 1, per_doubling)
        states |= {shown, following} | {shown + 1 + offset for offset in offsets}
    return {state for state in states if state <= steps}


def common(rate: float, steps: int, cycles: int, per_doubling: int) -> set[int]:
    """States at which every stream is measured where each has exposures at steps of its own.

    Evenly over the run, as many as `around` takes for exposures at regular distances.

    Args:
        rate: expected exposures per step, in [0, 1].
        steps: of the run.
        cycles: exposures that are chosen in each stream.
        per_doubling: states for each doubling of the steps since an exposure.
    """
    if not (rate and cycles):
        return set()
    distance = max(round(1 / rate), 1)
    each = 1 + len(log_spaced(distance - 1, per_doubling))
    count = min(cycles, math.ceil(rate * steps)) * each
    return set(np.linspace(0, steps, min(count, steps) + 1)[1:].round().astype(int).tolist())


def log_spaced(longest: int, per_doubling: int) -> list[int]:
    """Ascending whole numbers from 0 to `longest`, both included, without repeats.

    Above 0 about `per_doubling` of them in each doubling, fewer where a doubling has fewer numbers.
    """
    if longest < 1:
        return [0]
    points = range(math.ceil(math.log2(longest) * per_doubling) + 1)
    return [0, *sorted({min(round(2 ** (i / per_doubling)), longest) for i in points})]


def check_budget(run: Run, size: "Sizes", plan: Plan) -> int:
    """Bytes that all snapshots and whole states of the run take.

    Raises:
        ConfigError: they are over the budget.
    """
    total = size.parameter_bytes * len(plan.snapshots) + size.state_bytes * len(plan.states)
    if total > run.snapshots.budget_mb * BYTES_PER_MB:
        whole = f" and {len(plan.states)} whole states of {size.state_bytes / BYTES_PER_MB:.3g} MB"
        raise ConfigError(
            "snapshots.budget_mb",
            f"{len(plan.snapshots)} snapshots of {size.parameter_bytes / BYTES_PER_MB:.3g} MB"
            f"{whole if plan.states else ''} take "
            f"{total / BYTES_PER_MB:.4g} MB, but the budget is {run.snapshots.budget_mb:g} MB; "
            f"raise it, or keep fewer cycles{' or branches' if plan.states else ''}",
        )
    return total


def check_mesh(run: Run, count: int | None = None) -> None:
    """Checks that rows, students and weights can be spread evenly over the devices of this job.

    Args:
        run: whose mesh it is.
        count: devices; None: those of this job.

    Raises:
        ConfigError: they cannot.
    """
    with below("mesh"):
        sizes = run.mesh.sizes(jax.device_count() if count is None else count)
    devices = sizes["data"] * sizes["fsdp"]
    pieces = devices * run.accumulate
    if run.batch % pieces:
        nearest = run.batch // pieces * pieces or pieces
        each = f" in {run.accumulate} pieces" if run.accumulate > 1 else ""
        raise ConfigError(
            "batch",
            f"{run.batch} rows cannot be spread evenly over {devices} devices{each}; nearest: "
            f"{nearest}, or set mesh.data",
        )
    student = sizes["student"]
    stacks = Counter(member.group for member in run.setting.family.students)
    uneven = [size for size in stacks.values() if size % student]
    if uneven:
        raise ConfigError(
            "mesh.student",
            f"{uneven[0]} students of equal shape cannot be spread evenly over {student} devices; "
            "expected a divisor",
        )
    for axis in ("fsdp", "model"):
        _check_weights(run, axis, sizes[axis])


def _check_weights(run: Run, axis: str, devices: int) -> None:
    """Checks that an axis of the mesh divides every dimension of the weights that it cuts."""
    cut = set()
    weights = jax.tree.leaves(abstract(blueprint(run)).params)
    layouts = jax.tree.leaves(
        run.setting.family.partition(), is_leaf=lambda x: isinstance(x, PartitionSpec)
    )
    for leaf, layout in zip(weights, layouts, strict=True):
        cut |= {size for size, own in zip(leaf.shape, layout, strict=True) if own == axis}
    uneven = [size for size in sorted(cut) if size % devices]
    if uneven:
        common = math.gcd(*cut)
        nearest = max(size for size in range(1, devices) if common % size == 0)
        raise ConfigError(
            f"mesh.{axis}",
            f"weights have a dimension of {uneven[0]}, which cannot be spread evenly over "
            f"{devices} devices; expected a divisor of {common}, nearest: {nearest}",
        )


def blueprint(run: Run) -> Blueprint:
    """What the programs of a run are compiled for."""
    rule = run.rule and run.rule.form
    return Blueprint(
        traced_of(run.setting), run.optimizer.form, run.measure.tools, rule, run.accumulate
    )


def quantities(run: Run) -> dict[str, Quantity]:
    """Everything that a run measures: name -> what it is.

    Raises:
        ConfigError: two parts of it give the same name to what they measure.
    """
    setting = run.setting
    found = {**step_quantities(setting), **setting.objective.recorded}
    for own in (setting.objective.quantities, *(t.quantities(setting) for t in run.measure.tools)):
        if both := sorted(found.keys() & own.keys()):
            raise ConfigError("measure.instruments", f"{both[0]!r} is measured twice")
        found |= own
    return found


def data_key(seed: int) -> jax.Array:
    """Key of the inputs of a stream; step t draws its batch from fold_in(key, t).

    Args:
        seed: of the batches, `Run.seeds`.
    """
    return jax.random.key(np.uint32(seed), impl="threefry2x32")


def own_numbers(run: Run) -> Arguments:
    """The numbers of a run, as NumPy arrays.

    Raises:
        ConfigError: `optimizer.relative` does not fit the sizes, or the tasks cannot be drawn.
    """
    return Arguments(
        key=np.asarray(jax.random.key_data(data_key(run.seeds.batches))),
        draw=np.uint32(run.seeds.weights),
        rates=run.optimizer.rates(student.group for student in run.setting.family.students),
        numbers=run.setting.numbers(run.seeds.tasks),
        rule=run.rule.numbers if run.rule else {},
    )


class Sizes(NamedTuple):
    """How large a run is.

    Attributes:
        parameters: of all students.
        parameter_bytes: of one snapshot.
        state_bytes: of the whole training state.
        flops_per_step: of matrix products in one plain step of all students, a multiply and an
            add counted as two.
    """

    parameters: int
    parameter_bytes: int
    state_bytes: int
    flops_per_step: float


def sizes(run: Run) -> Sizes:
    """Sizes of a run, without allocating anything."""
    state = abstract(blueprint(run))
    flops = run.setting.family.flops(run.batch)
    return Sizes(
        sum(leaf.size for leaf in jax.tree.leaves(state.params)),
        _bytes(state.params),
        _bytes(state),
        sum(flops[student.size] for student in run.setting.family.students),
    )


def _bytes(abstract: Any) -> int:
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(abstract))
