"""The one loop: schedule -> batches -> step -> metrics, snapshots and checkpoints."""

import functools
from collections.abc import Collection, Iterator
from contextlib import nullcontext
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from etils import epath
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from rare_retention import hosts, jax_settings
from rare_retention.config import to_dict
from rare_retention.errors import ConfigError, UserError
from rare_retention.experiment import Run, changes
from rare_retention.parallel import any_host, is_primary, make_mesh, slowest
from rare_retention.record.exposures import write_exposures
from rare_retention.record.files import CONFIG, write_record
from rare_retention.record.lock import Lock, Lost, only_writer
from rare_retention.record.manifest import Constant, Manifest, read_manifest
from rare_retention.record.recorder import Recorder
from rare_retention.schedule.schedule import History, Schedule
from rare_retention.settings.setting import labels
from rare_retention.train import origin
from rare_retention.train.interruption import Interruption
from rare_retention.train.pace import Pace
from rare_retention.train.pipeline import Chunk, chunks
from rare_retention.train.plan import (
    Plan,
    blueprint,
    check_budget,
    check_mesh,
    make_plan,
    own_numbers,
    quantities,
    sizes,
)
from rare_retention.train.state import (
    Arguments,
    Blueprint,
    State,
    abstract,
    create,
    fresh,
    shardings,
)
from rare_retention.train.step import Step
from rare_retention.watch.watcher import Watcher
from rare_retention.watch.watching import Watching


def train(
    run: Run,
    folder: epath.Path,
    label: str = "",
    interruption: Interruption | None = None,
    parent: origin.Parent | None = None,
    watching: Watching = Watching(),  # noqa: B008, it is frozen
    lock: Lock | None = None,
) -> int:
    """Trains a run to its last step, or goes on where an earlier call was stopped.

    Args:
        run: what to train.
        folder: of the run; holds config.json, manifest.json, exposures.npz, metrics/, resume/,
            retention/, and states/ where branches go on from it.
        label: name of the run on the progress bar.
        interruption: entered by a caller that has several runs; None listens for this one alone.
        parent: the run that this one goes on from, if it goes on from one.
        watching: what is to be seen of it while it is trained.
        lock: of the folder, where the caller holds it; None takes it here.

    Returns:
        The step reached: `run.steps`, or less where a signal asked to stop.

    Raises:
        UserError: the folder holds another run or is being written by another process, a file is
            damaged, the disk is full, or JAX is set so that it would compute something else.
    """
    jax_settings.check()
    schedule = run.schedule()
    before = _before(run, parent)
    history = origin.history(run, run.steps, before)
    plan = make_plan(run, schedule, history)
    check_budget(run, sizes(run), plan)
    check_mesh(run)
    mesh = make_mesh(run.mesh)
    with (
        Interruption() if interruption is None else nullcontext(interruption) as asked,
        only_writer(folder) if lock is None else nullcontext(lock) as held,
        Watcher(watching, run, folder, label) as watcher,
        jax.set_mesh(mesh),
        jax.default_matmul_precision(run.matmul_precision),
        jax.threefry_partitionable(True),
    ):
        compiled, own = programs(blueprint(run), mesh), arguments(run, mesh)
        _claim(run, folder)
        watcher.begins()
        recorder = _recorder(run, folder, plan, before, watcher)
        try:
            state = recorder.restore(compiled.abstract, origin.VARIED)
            if state is None:
                state = _first(run, parent, before, compiled, own, mesh)
                recorder.record(run.start, state, compiled.measure(state, own), save=False)
            else:  # instruments that were added since start anew; the others go on
                state = origin.completed(state, compiled.abstract, compiled.fresh)
            if int(state.step) > run.steps:  # asked for less than there is
                history = origin.history(run, int(state.step), before)
            _write_exposures(run, folder, history)
            recorder.describe("running", int(state.step), [])
            source = functools.partial(run.setting.batches, schedule, run.seeds.tasks)
            longest = min(run.measure.every, run.steps)
            stops = watcher.stops(plan.stops, int(state.step))
            stream = chunks(source, run.batch, stops, int(state.step), mesh, longest)
            step = _advance(plan, compiled, own, state, stream, recorder, asked, held, watcher)
            _check_still_held(held)
            recorder.close()
        except BaseException as error:
            # Closing waits for the other processes: for ever, where they go on.
            alone = hosts.several() and not (isinstance(error, Exception) and hosts.all_fail())
            if not alone:
                recorder.abandon()
            raise
        if step >= run.steps:
            recorder.describe("finished", step, history.shown.tolist())
        else:  # counting what `iid` drew takes a while: only now, when all is saved
            recorder.describe("stopped", step, origin.history(run, step, before).shown.tolist())
    return step


def _before(run: Run, parent: origin.Parent | None) -> History | None:
    """What the run was shown that this one goes on from; None where it goes on from none.

    Raises:
        ConfigError: it goes on from one that is not known here.
        UserError: that one has not kept the state.
    """
    if parent is not None:
        return parent.shown(run.start)
    if run.turns:
        raise ConfigError("turns", "expected none: only a branch of a study goes on from a run")
    return None


def _first(
    run: Run,
    parent: origin.Parent | None,
    before: History | None,
    compiled: "Programs",
    own: Arguments,
    mesh: Mesh,
) -> State:
    """The state that a run starts from: initial weights, or what its parent has kept."""
    if parent is None or before is None:
        created: State = compiled.create(own.draw)
        return created
    old, new = blueprint(parent.run), blueprint(run)
    state = parent.restore(run.start, programs(old, mesh).abstract)
    if old == new:
        return state
    return origin.goes_on(state, compiled.create(own.draw), before, old, new)


def _advance(
    plan: Plan,
    compiled: "Programs",
    own: Arguments,
    state: State,
    stream: Iterator[Chunk],
    recorder: Recorder,
    asked: Interruption,
    lock: Lock,
    watcher: Watcher,
) -> int:
    """Takes the state through all chunks, or as far as there is time for; returns its step."""
    step, stops, pace = int(state.step), frozenset(plan.stops), Pace()
    leaving = False
    with watcher.training(step):
        for chunk in stream:
            while step < chunk.stop and not leaving:
                last = step + pace.steps(chunk.stop - step)
                watcher.calls(step)
                state, measured = _call(compiled, own, state, chunk, (step, last), stops)
                pace.called(jnp.copy(state.step), last - step)
                # Asked once: a signal may come during the save, or on one host alone.
                leaving, pace.seconds = slowest(asked.requested or lock.lost, pace.seconds)
                step = last
                if leaving:
                    _check_still_held(lock)
                if measured is not None:
                    recorder.record(step, state, measured, save=leaving)
                elif leaving:
                    recorder.save(step, state)
                watcher.reached(step, state)
            if leaving:
                break
    return step


def _call(
    compiled: "Programs",
    own: Arguments,
    state: State,
    chunk: Chunk,
    steps: tuple[int, int],
    stops: Collection[int],
) -> tuple[State, Any]:
    """Takes the state from one step to another; the state, and what is measured if it is a stop.

    The last step before a stop is a call of its own program, whatever led to it: how the others are
    cut into calls changes no bit.
    """
    first, last = steps
    plain = last - (last in stops)
    if plain > first:
        state = compiled.run(state, own, chunk.batches, *_indices(chunk, first, plain))
    if plain == last:
        return state, None
    moved, measured = compiled.advance(state, own, chunk.batches, *_indices(chunk, plain, last))
    return moved, measured


def _indices(chunk: Chunk, first: int, last: int) -> tuple[jax.Array, jax.Array]:
    """Where the batches of some steps end and start in a chunk."""
    return jnp.int32(last - chunk.start), jnp.int32(first - chunk.start)


def _check_still_held(lock: Lock) -> None:
    """Checks on all hosts together that the first one still holds the run's lock.

    Raises:
        Lost: another job has taken it over.
    """
    if any_host(lock.lost):
        lock.check()
        raise Lost(f"{lock.folder}: was taken over by another job; this one writes no more")


class Programs(NamedTuple):
    """The compiled programs of a run; what runs may differ in and share them is an argument."""

    create: Any
    run: Any
    advance: Any
    measure: Any
    fresh: Any
    abstract: State


@functools.lru_cache(maxsize=8)
def programs(blueprint: Blueprint, mesh: Mesh) -> Programs:
    """Programs for one kind of run on one mesh; compiled when first called."""
    layout = shardings(blueprint, mesh)
    everywhere = NamedSharding(mesh, PartitionSpec())
    step = Step(blueprint)
    return Programs(
        create=jax.jit(functools.partial(create, blueprint), out_shardings=layout),
        run=jax.jit(step.run, donate_argnums=0, out_shardings=layout),
        advance=jax.jit(step.advance, donate_argnums=0, out_shardings=(layout, everywhere)),
        measure=jax.jit(step.measure, out_shardings=everywhere),
        fresh=jax.jit(
            functools.partial(fresh, blueprint), out_shardings=(layout.followed, layout.guard)
        ),
        abstract=jax.tree.map(
            lambda leaf, place: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place),
            abstract(blueprint),
            layout,
        ),
    )


def arguments(run: Run, mesh: Mesh) -> Arguments:
    """The numbers of a run, on every device of the mesh from now on; errors as `own_numbers`."""
    everywhere = NamedSharding(mesh, PartitionSpec())

    def place(leaf: Any) -> jax.Array:
        array = np.asarray(leaf)
        return jax.make_array_from_callback(array.shape, everywhere, lambda index: array[index])

    placed = jax.tree.map(place, own_numbers(run))
    return placed._replace(key=jax.random.wrap_key_data(placed.key, impl="threefry2x32"))


def _claim(run: Run, folder: epath.Path) -> None:
    """Makes the folder this run's own, or checks that it is.

    Raises:
        UserError: it holds a run of another recipe.
    """
    about = read_manifest(folder)
    if about is not None and (found := changes(about.recipe, run.recipe())):
        raise UserError(
            f"{folder}: holds another run: {'; '.join(found)}; choose another --workdir, or undo "
            "the change"
        )
    if is_primary():
        write_record(folder / CONFIG, to_dict(run))


def _write_exposures(run: Run, folder: epath.Path, history: History) -> None:
    if is_primary():
        names = (run.setting.task_names[task] for task in run.setting.watch_ids)
        exposures = dict(zip(names, history.exposures, strict=True))
        write_exposures(folder, run.identity(), exposures)


def _recorder(
    run: Run, folder: epath.Path, plan: Plan, before: History | None, watcher: Watcher
) -> Recorder:
    """The recorder of a run."""
    setting, schedule = run.setting, run.schedule()
    shown = {step: origin.history(run, step, before).shown.tolist() for step in plan.states}
    return Recorder(
        folder,
        run.identity(),
        snapshots=plan.snapshots,
        checkpoints=plan.checkpoints,
        states=shown,
        keep=run.checkpoints.keep,
        measured=watcher.measured,
        about=Manifest(
            recipe=run.recipe(),
            students=setting.family.students,
            tasks=setting.task_names,
            watch=setting.watch_ids,
            withheld=withheld(schedule),
            exposure_unit="instances" if setting.row_tokens > 1 else "rows",
            inputs=setting.inputs,
            step_rows=run.batch,
            step_tokens=run.batch * setting.row_tokens,
            step_flops={str(size): own for size, own in setting.family.flops(run.batch).items()},
            labels=labels(setting),
            quantities=quantities(run),
            constants={name: Constant(*own) for name, own in setting.constants().items()},
            planned=planned(schedule, run.steps - run.start, before),
            mesh=run.mesh.sizes(jax.device_count()),
        ),
    )


def withheld(schedule: Schedule) -> tuple[int, ...]:
    """Tasks that are absent between bursts; with a gap of 1 none is."""
    return schedule.withheld if schedule.gap > 1 else ()


def planned(schedule: Schedule, steps: int, before: History | None = None) -> tuple[float, ...]:
    """Slots of each task that `steps` steps are expected to show, beside what was shown before."""
    shown = [0.0] * schedule.tasks if before is None else before.shown.tolist()
    own = (float(share) * schedule.slots * steps for share in schedule.shares)
    return tuple(sum(both) for both in zip(shown, own, strict=True))
