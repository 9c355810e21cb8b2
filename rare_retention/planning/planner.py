"""Plans the units of a study on a topology: what they need as they are, or what would fit."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from rare_retention.config import to_dict
from rare_retention.errors import UserError, below
from rare_retention.experiment import Run
from rare_retention.planning import ahead, choices, estimate
from rare_retention.planning.ahead import Compiled
from rare_retention.planning.booking import Booking, Work
from rare_retention.planning.choices import Choice
from rare_retention.planning.kept import kept
from rare_retention.planning.programs import Program, one_row
from rare_retention.planning.topology import Topology
from rare_retention.planning.walk import step_flops
from rare_retention.study.grid import Study, unit_named, units
from rare_retention.train.pipeline import chunk_length, spans
from rare_retention.train.plan import blueprint, make_plan, own_numbers, sizes

MARGIN = 1.25
"""Arithmetic knows nothing of what a compiler adds: so much more than it says has to be there."""

# Of what arithmetic says, in units of what the compiler has said, so much is always taken: of any
# choice, and of those that differ from one that was compiled in the mesh alone.
_SURELY, _LIKE = 0.7, 0.95


class Asked(NamedTuple):
    """What a person wants to know.

    Attributes:
        mfu: share of the peak that is assumed.
        cheapest: look for the cheapest choice that fits; else take the config's if it fits.
        every: compile each program by itself, in place of the one that holds all of them.
        whole: compile the plain steps to the end, for the compiler's bound on their time.
        limit: seconds that one compilation may take.
        tries: compilations that a search may take on one topology.
        extensions: files of the user's own.
        say: takes a line about what goes on.
    """

    mfu: float = 0.4
    cheapest: bool = False
    every: bool = False
    whole: bool = False
    limit: float | None = None
    tries: int = 12
    extensions: tuple[str, ...] = ()
    say: Callable[[str], None] = lambda _: None


class Group(NamedTuple):
    """Units that have the same programs.

    Attributes:
        unit: name of the first one.
        run: of the first one.
        units: how many there are.
    """

    unit: str
    run: Run
    units: int


def groups(study: Study, only: str | None = None) -> list[Group]:
    """The units of a study, those with the same programs together.

    Args:
        study: whose units they are.
        only: the one unit that is asked for; None takes all.

    Raises:
        ConfigError: there is no such unit, or one cannot be.
    """
    chosen = units(study) if only is None else [unit_named(study, only)]
    found: dict[Any, list[Any]] = {}
    with below("run"):
        for unit in chosen:
            found.setdefault(_programs(unit.run), []).append(unit)
    return [Group(alike[0].name, alike[0].run, len(alike)) for alike in found.values()]


def _programs(run: Run) -> Any:
    """What decides the programs of a run and how often they run, hashable."""
    shapes = tuple(
        (leaf.shape, str(leaf.dtype)) for leaf in jax.tree.leaves(own_numbers(run)) if leaf.shape
    )
    own = (run.batch, run.steps, run.matmul_precision, run.mesh, run.measure.every)
    return blueprint(run), shapes, own


def work(group: Group, topology: Topology) -> Work:
    """What there is to do in each unit of a group.

    Raises:
        ConfigError: the run cannot realise its plan.
    """
    run = group.run
    size = sizes(run)
    plan = make_plan(run, run.schedule())
    longest = call_length(run, topology)
    calls = [stop - first for first, stop in spans(plan.stops, run.start, longest)]
    return Work(
        group.unit,
        tuple(map(str, run.setting.size_names)),
        group.units,
        run.steps - run.start,
        max(calls, default=0),
        size.flops_per_step,
        step_flops(run),
        size.state_bytes,
        size.parameter_bytes * len(plan.snapshots) + size.state_bytes * len(plan.states),
    )


def call_length(run: Run, topology: Topology) -> int:
    """Batches of a call, which the memory of a host and its rows decide."""
    mesh = run.mesh.sizes(topology.devices)
    shards = mesh["data"] * mesh["fsdp"]
    own = topology.devices // topology.hosts
    rows = run.batch // shards * min(max(own // mesh["model"], 1), shards)
    row = sum(leaf.nbytes for leaf in jax.tree.leaves(one_row(run)))
    return chunk_length(row * rows, min(run.measure.every, run.steps))


def book(group: Group, topology: Topology, asked: Asked) -> Booking:
    """A group of units on a topology, as configured if that fits, else by the cheapest that does.

    Raises:
        UserError: the mesh cannot be on that many devices and nothing else is wanted, or the
            compiler is not there.
    """
    ahead.check(topology)
    run, own = group.run, None
    with below("run"):
        try:
            own = choices.configured(run, topology)
        except UserError:
            if not asked.cheapest:
                raise
    if own is not None and not asked.cheapest:
        compiled = _compile(own.of(run), topology, asked, _said(asked))
        if all(each.fits for each in compiled.values()):
            return _booking(group, own, compiled, topology, asked)
        asked.say(f"  {_words(own)}: {_verdict(compiled)}")
    found = _search(run, topology, asked, own)
    if found is None:
        shown = own or choices.choices(run, topology)[-1]
        compiled = _compile(shown.of(run), topology, asked, ("advance",))
        return _booking(group, shown, compiled, topology, asked)
    return _booking(group, *found, topology, asked)


def _said(asked: Asked) -> tuple[Program, ...]:
    """Programs that are compiled; the one that measures at its last step holds both others."""
    return ("run", "advance", "measure") if asked.every else ("advance",)


def _search(
    run: Run, topology: Topology, asked: Asked, failed: Choice | None
) -> tuple[Choice, dict[str, Compiled]] | None:
    """The cheapest choice that fits, stopping each compilation before code is generated."""

    @functools.cache
    def arithmetic(choice: Choice) -> int:
        return estimate.memory(choice.of(run), topology).bytes

    def guess(choice: Choice) -> int:  # it knows no difference between layers in a loop or without
        return arithmetic(choice._replace(unroll=min(choice.unroll, 1)))

    ratio, tries = 1.0, 0
    alike: dict[tuple[int, str, int], float] = {}
    capacity = topology.chip.memory or 2**62  # of fake devices the first compilation tells it
    for choice in choices.choices(run, topology):
        pieces = (choice.accumulate, choice.remat, choice.unroll)
        if choice == failed or max(ratio, alike.get(pieces, 0.0)) * guess(choice) > capacity:
            continue
        if tries >= asked.tries:
            return None
        compiled = _compile(choice.of(run), topology, asked, ("advance",))
        tries += 1
        asked.say(f"  {_words(choice)}: {_verdict(compiled)}")
        if all(own.fits for own in compiled.values()):
            if asked.every or asked.whole:
                compiled = _compile(choice.of(run), topology, asked, _said(asked))
            if all(own.fits for own in compiled.values()):
                return choice, compiled
        most = max(compiled.values(), key=lambda own: own.bytes)
        capacity = most.capacity
        said = most.bytes / max(guess(choice), 1)
        ratio, alike[pieces] = max(ratio, _SURELY * said), _LIKE * said
    return None


def _words(choice: Choice) -> str:
    again = f", remat {choice.remat}, unroll {choice.unroll}" if choice.remat else ""
    return f"data {choice.data} x fsdp {choice.fsdp}, accumulate {choice.accumulate}{again}"


def _verdict(compiled: dict[str, Compiled]) -> str:
    most = max(compiled.values(), key=lambda own: own.bytes)
    return f"{'fits' if most.fits else 'does not fit'}, {most.bytes / 2**30:.2f} GiB"


def _compile(
    run: Run, topology: Topology, asked: Asked, programs: tuple[Program, ...]
) -> dict[str, Compiled]:
    """Program -> what its compiler says, or arithmetic where there is none to ask."""
    if topology.chip.platform == "gpu":
        found = estimate.memory(run, topology)
        capacity = topology.chip.memory
        enough = found.bytes * MARGIN <= capacity
        return {"run": Compiled(found.bytes, capacity, enough, found.largest, (), ())}
    length = call_length(run, topology)
    compiled = {}
    wanted = dict.fromkeys((*programs, *(("run",) if asked.whole else ())))
    for program in wanted:
        request = {
            "run": to_dict(run),
            "extensions": list(asked.extensions),
            "topology": list(topology),
            "program": program,
            "length": length,
            "whole": asked.whole and program == "run" and topology.chip.platform == "tpu",
        }
        compiled[program] = kept(request, topology, asked.limit)
    return compiled


def _booking(
    group: Group,
    choice: Choice,
    compiled: dict[str, Compiled],
    topology: Topology,
    asked: Asked,
) -> Booking:
    run = choice.of(group.run)
    return Booking(
        work(group._replace(run=run), topology),
        topology,
        compiled,
        topology.chip.platform == "gpu",
        all(own.fits for own in compiled.values()),
        tuple(choice.flags(group.run)),
        choice._asdict() | {"student": run.mesh.student, "model": run.mesh.model},
        asked.mfu,
    )
