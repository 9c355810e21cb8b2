"""The one loop: schedule -> batches -> step -> metrics, snapshots and checkpoints."""

import functools
from collections import Counter
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from etils import epath
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from tqdm import tqdm

from rare_retention.config import ConfigError, difference, from_dict, to_dict
from rare_retention.data.exposure import Schedule
from rare_retention.data.pipeline import chunks
from rare_retention.errors import UserError
from rare_retention.experiment import AnySetting, Run
from rare_retention.parallel import any_host, is_primary, make_mesh
from rare_retention.record.files import read_json, write_json
from rare_retention.record.recorder import Recorder
from rare_retention.train.interruption import Interruption
from rare_retention.train.optimizer import Optimizer
from rare_retention.train.plan import Plan, check_budget, make_plan, sizes
from rare_retention.train.state import State, create, shardings
from rare_retention.train.step import SAMPLED_MEASURES, STEP_MEASURES, Step

CONFIG = "config.json"


def train(run: Run, folder: epath.Path, label: str = "") -> int:
    """Trains a run to its last step, or goes on where an earlier call was stopped.

    Args:
        run: what to train.
        folder: of the run; holds config.json, manifest.json, metrics/, resume/, retention/.
        label: name of the run on the progress bar.

    Returns:
        The step reached: `run.steps`, or less where a signal asked to stop.

    Raises:
        UserError: the folder holds another run, a file is damaged or the disk is full.
    """
    schedule = run.schedule()
    plan = make_plan(run, schedule)
    mesh = make_mesh(run.mesh)
    _check_mesh(run, mesh)
    with (
        Interruption() as interruption,
        jax.set_mesh(mesh),
        jax.default_matmul_precision(run.precision),
        jax.threefry_partitionable(True),
    ):
        compiled = programs(
            run.setting, run.optimizer, run.measure.sampled, run.measure.effect, mesh
        )
        check_budget(run, sizes(run).parameter_bytes, plan)
        _claim(run, folder)
        recorder = _recorder(run, folder, plan)
        state = recorder.restore(compiled.abstract)
        if state is None:
            state = compiled.create()
            recorder.record(0, state, compiled.measure(state), save=False)
        step = int(state.step)
        recorder.describe("running", step, [])
        with tqdm(
            total=run.steps, initial=step, desc=label, unit="step", disable=not is_primary()
        ) as bar:
            for stop, rows in chunks(schedule, plan.stops, step, mesh):
                state, measured = compiled.advance(
                    state, run.data_key(), rows, jnp.int32(stop - step)
                )
                # Asked once: a signal may come during the save, or on one host alone.
                leaving = any_host(interruption.requested)
                recorder.record(stop, state, measured, save=leaving)
                step = stop
                bar.update(step - bar.n)
                if leaving:
                    break
        status = "finished" if step >= run.steps else "stopped"
        recorder.finish(status, step, schedule.shown(step).tolist())
    return step


class Programs(NamedTuple):
    """The compiled programs of a run; runs that differ in stream or schedule share them."""

    create: Any
    advance: Any
    measure: Any
    abstract: State


@functools.lru_cache(maxsize=8)
def programs(
    setting: AnySetting, optimizer: Optimizer, sampled: bool, effect: bool, mesh: Mesh
) -> Programs:
    """Programs for one kind of run on one mesh; compiled when first called."""
    transform = optimizer.build()
    layout = shardings(setting, transform, mesh)
    everywhere = NamedSharding(mesh, PartitionSpec())
    step = Step(setting, transform, sampled=sampled, effect=effect)
    shapes = jax.eval_shape(lambda: create(setting, transform))
    return Programs(
        create=jax.jit(lambda: create(setting, transform), out_shardings=layout),
        advance=jax.jit(step.advance, donate_argnums=0, out_shardings=(layout, everywhere)),
        measure=jax.jit(step.measure, out_shardings=everywhere),
        abstract=jax.tree.map(
            lambda leaf, place: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place),
            shapes,
            layout,
        ),
    )


def _check_mesh(run: Run, mesh: Mesh) -> None:
    """Checks that rows and students can be spread evenly.

    Raises:
        ConfigError: they cannot.
    """
    student, data = mesh.shape["student"], mesh.shape["data"]
    if run.batch % data:
        raise ConfigError(
            "batch",
            f"{run.batch} rows cannot be spread evenly over {data} devices; "
            f"nearest: {max(run.batch // data, 1) * data}",
        )
    stacks = Counter(member.group for member in run.setting.students)
    uneven = [size for size in stacks.values() if size % student]
    if uneven:
        raise ConfigError(
            "mesh.student",
            f"{uneven[0]} students of equal shape cannot be spread evenly over {student} devices; "
            "expected a divisor",
        )


def _claim(run: Run, folder: epath.Path) -> None:
    """Makes the folder this run's own, or checks that it is.

    Raises:
        UserError: it holds a run of another recipe.
    """
    path = folder / CONFIG
    if path.exists():
        stored = from_dict(Run, read_json(path))
        changes = difference(stored.recipe(), run.recipe())
        if changes:
            raise UserError(
                f"{folder}: holds another run: {'; '.join(changes)}; choose another --workdir"
            )
    if is_primary():
        write_json(path, to_dict(run))


def _recorder(run: Run, folder: epath.Path, plan: Plan) -> Recorder:
    setting = run.setting
    measures = {**setting.measures, **STEP_MEASURES}
    if run.measure.sampled:
        measures |= SAMPLED_MEASURES
    return Recorder(
        folder,
        run.identity(),
        snapshots=plan.snapshots,
        checkpoints=plan.checkpoints,
        keep=run.checkpoints.keep,
        about={
            "students": [student._asdict() for student in setting.students],
            "tasks": list(setting.task_names),
            "watch": list(setting.watch_ids),
            "inputs": setting.inputs,
            "measures": {name: measure._asdict() for name, measure in measures.items()},
            "constants": {
                name: {"dims": dims, "values": values.tolist()}
                for name, (dims, values) in setting.constants().items()
            },
            "planned": planned(run.schedule(), run.steps),
        },
    )


def planned(schedule: Schedule, steps: int) -> list[float]:
    """Rows of each task that a run of `steps` steps is expected to show."""
    return [float(share) * schedule.batch * steps for share in schedule.shares]
