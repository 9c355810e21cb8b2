"""What a study will do, in words and numbers, before it does it."""

import math
from collections.abc import Iterator, Sequence

import jax

from rare_retention.errors import below
from rare_retention.experiment import Run
from rare_retention.representation.kinds import KINDS
from rare_retention.settings.language import Language
from rare_retention.settings.setting import labels
from rare_retention.study.grid import Study, Unit, check_shapes, units
from rare_retention.train.plan import (
    BYTES_PER_MB,
    check_budget,
    check_mesh,
    make_plan,
    own_numbers,
    quantities,
    sizes,
)
from rare_retention.wording import plural


def describe(study: Study, elsewhere: bool = False) -> Iterator[str]:
    """Lines of the plan of a study; every run is checked on the way.

    Args:
        study: what is planned.
        elsewhere: it will be trained on another machine, whose mesh may need more devices.

    Raises:
        ConfigError: a run cannot be honoured; the message names the field and the remedy.
    """
    check_shapes(study)
    todo = units(study)
    yield f"study      {study.name}"
    yield f"units      {len(todo)}: {' x '.join(_factors(study))}"
    total = 0
    with below("run"):
        yield from describe_run(todo[0].run, elsewhere)
        groups = _of_sizes(todo)
        if len(groups) > 1:
            yield from map(_describe_size, groups)
        for unit in todo:
            plan = make_plan(unit.run, unit.run.schedule())
            own_numbers(unit.run)
            total += check_budget(unit.run, sizes(unit.run), plan)
    if len(todo) > 1:
        yield f"snapshots  {total / BYTES_PER_MB:.3g} MB in all units"
    yield from _branches(study)


def _branches(study: Study) -> Iterator[str]:
    """A line for each branch: from where, how long, with what changed."""
    for branch in study.branches:
        at = f"step {branch.at:,}" if branch.at else f"exposure {branch.after_exposure}"
        what = ", ".join(f"{change.field}={change.value}" for change in branch.changes)
        yield (
            f"branch     {branch.name}: from {at} of each {branch.of}, {branch.steps:,} steps; "
            f"{what or 'nothing changed'}"
        )


def _factors(study: Study) -> Iterator[str]:
    """What the number of units is the product of."""
    since = f" from {study.first_stream} on" if study.first_stream else ""
    yield plural(study.streams, "stream") + since
    for axis in study.grid:
        yield f"{plural(len(axis.values), 'value')} of {axis.name}"
    if study.branches:
        yield f"{1 + len(study.branches)} of a trunk and its branches"
    if study.apart and not any(map(study.is_of_sizes, study.grid)):
        yield f"{plural(len(study.run.setting.size_names), 'size')} apart"
    elif study.apart:
        yield "its sizes apart"
    elif not study.grid:
        yield "one setting"


def _of_sizes(todo: Sequence[Unit]) -> list[Run]:
    """A run of each group of sizes that units train, in their order."""
    return list({unit.run.setting.size_names: unit.run for unit in todo}.values())


def _describe_size(run: Run) -> str:
    size = sizes(run)
    names = ", ".join(map(str, run.setting.size_names))
    return (
        f"  size {names:<11} {size.parameters:,} parameters, "
        f"{size.state_bytes / BYTES_PER_MB:.3g} MB of training state, "
        f"{size.flops_per_step * run.steps:.3g} FLOPs"
    )


def describe_run(run: Run, elsewhere: bool = False) -> Iterator[str]:
    """Lines of the plan of one run; arguments as `describe`."""
    count = _devices(run) if elsewhere else jax.device_count()
    check_mesh(run, count)
    own_numbers(run)  # refused here where they cannot be had
    schedule = run.schedule()
    plan = make_plan(run, schedule)
    size = sizes(run)
    kept = check_budget(run, size, plan)
    here = f"{jax.device_count()} x {jax.devices()[0].device_kind}"
    yield f"devices    {here if count == jax.device_count() else f'{count}, of which {here} here'}"
    students = len(run.setting.family.students)
    yield f"students   {students} on each stream, {size.parameters:,} parameters"
    rows, tokens = run.steps * run.batch, run.setting.row_tokens
    of = f" of {tokens:,} tokens; {rows * tokens:.4g} tokens" if tokens > 1 else f"; {rows:,} rows"
    yield f"steps      {run.steps:,} of {run.batch:,} rows{of}"
    if isinstance(run.setting, Language) and (text := run.setting.windows).absent:
        yield (
            f"text       {run.setting.corpus.path} is not here: {text.vocabulary:,} ids, as the "
            "config says; nothing was read"
        )
    flops = size.flops_per_step
    yield f"compute    {flops * run.steps:.3g} FLOPs, {flops:.3g} a step"
    yield f"memory     {size.state_bytes / BYTES_PER_MB:.3g} MB of training state"
    yield (
        f"records    {plural(len(plan.stops), 'measured state')}, "
        f"{plural(len(plan.checkpoints), 'checkpoint')}, "
        f"{plural(len(plan.snapshots), 'snapshot')} of {kept / BYTES_PER_MB:.3g} MB"
    )
    how = f"{run.exposure.placement}"
    if schedule.withheld:
        names = ", ".join(run.setting.task_names[k] for k in schedule.withheld)
        how += f", gap {schedule.gap}, {names} withheld"
        how += f", background {schedule.placement.background}"
    if schedule.left_out:
        names = ", ".join(run.setting.task_names[k] for k in schedule.left_out)
        how += f", {names} left out"
    yield f"exposure   {how}"
    for task in _shown_tasks(len(run.setting.task_names)):
        expected = float(schedule.shares[task]) * schedule.slots
        name, share = run.setting.task_names[task], float(schedule.shares[task])
        unit = "rows" if schedule.slots == run.batch else "slots"
        yield (
            f"  {name:<16} {share:.4g} of the {unit}, "
            f"{expected:.4g} a step, {expected * run.steps:,.0f} in all"
        )


def _devices(run: Run) -> int:
    """Devices for which a mesh is checked: those of this job, or as many as its axes ask for."""
    asked = math.prod(size for size in run.mesh.asked.values() if size > 0)
    here = jax.device_count()
    return asked if asked > here and jax.default_backend() == "cpu" else here


def variables(study: Study) -> set[str]:
    """Names that the results of a study will hold, evidence from its snapshots included."""
    setting = study.run.setting
    named = {*labels(setting), "size", "width", "parameters"}
    named |= {"step_rows", "step_tokens", "step_flops"}
    varied = {axis.name for axis in study.grid}
    found = {*quantities(study.run), *setting.constants(), *named, *varied, "gap", "watch"}
    found |= {"exposure_step", "exposure_count", "is_withheld", "is_left_out"}
    if study.branches:
        found |= {"branch", "turn"}
    if isinstance(setting, Language):
        found |= {name for kind in KINDS.values() for name in kind.quantities}
    return found


def _shown_tasks(tasks: int, most: int = 8) -> list[int]:
    """All tasks if they are few, else the most frequent and the rarest ones."""
    if tasks <= most:
        return list(range(tasks))
    return [*range(most // 2), *range(tasks - most // 2, tasks)]
