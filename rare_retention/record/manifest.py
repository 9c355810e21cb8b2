"""The manifest of a run: what it is, on what it ran, and what it was and will be shown."""

import dataclasses
import functools
import importlib.metadata
import os
import platform
import shlex
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from etils import epath

from rare_retention.errors import Damaged
from rare_retention.record import layout
from rare_retention.record.files import read_object, read_record, write_record
from rare_retention.settings.quantity import Quantity
from rare_retention.settings.student import Student

NAME = "manifest.json"
PACKAGES = (
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "orbax-checkpoint",
    "grain",
    "numpy",
    "rare-retention",
)


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide the numbers."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # rare_retention itself may run from a checkout that is not installed
    return found


def hardware() -> dict[str, Any]:
    """The devices of this job."""
    import jax  # by who trains: who reads manifests needs none

    device = jax.devices()[0]
    return {
        "platform": device.platform,
        "device": device.device_kind,
        "devices": jax.device_count(),
        "hosts": jax.process_count(),
        "machine": platform.machine(),
    }


def command() -> str:
    """The command line of this process, as it can be typed again in a checkout."""
    program = Path(sys.argv[0])
    launcher = program.parent.name == "launch"
    start = f"python -m launch.{program.stem}" if launcher else str(program)
    return f"{start} {shlex.join(sys.argv[1:])}".rstrip()


class Constant(NamedTuple):
    """What does not change in training, such as the frequencies of the tasks.

    Attributes:
        quantity: what it is.
        values: float64, with the quantity's dimensions.
    """

    quantity: Quantity
    values: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a run says of itself; what is left out is unknown.

    Attributes:
        identity: fingerprint of the recipe.
        recipe: all that decides what is learned, as JSON values.
        students: its models, as measured values have them.
        tasks: names of the tasks.
        watch: ids of those that are watched.
        withheld: ids of those that are absent between bursts.
        exposure_unit: what an exposure is counted in, "rows" or "instances".
        inputs: dimension of the input, 0 where it is no vector.
        step_rows: rows of a batch.
        step_tokens: tokens, or observations, of a batch.
        step_flops: size -> operations of a training step of one model.
        labels: names along dimensions that have names.
        quantities: name of each measured value -> what it is.
        constants: what does not change, by name.
        planned: slots of each task that all steps are expected to show.
        status: "running", "finished" or "stopped".
        step: state reached.
        shown: slots of each task in all batches so far.
        seconds: wall-clock time of all starts together.
        started: when the run was first started, UTC.
        written: when this was written.
        command: of the process that wrote it.
        versions: of Python and packages.
        hardware: of the job.
        mesh: devices along each axis of its mesh.
        parts: each start that differed from the one before in hardware, mesh or versions, from its
            step on: bits are the same on equal ones alone.
        starts: each time that a process took the run up: the machine, the process's number on it,
            when it first took up a run, and the step that it began from.
        records: what the run has kept: names of its blocks of metrics, steps of its snapshots and
            whole states; of a run that goes on, when it last stopped.
        halted: students that have diverged, by their labels -> updates before they were frozen;
            what was measured of them later is missing.
        skipped: students that have skipped steps with spikes -> how many.
        layout: of the run's files; those of a run that was begun in an older one stay of it.
    """

    identity: str = ""
    recipe: Mapping[str, Any] = field(default_factory=dict)
    students: tuple[Student, ...] = ()
    tasks: tuple[str, ...] = ()
    watch: tuple[int, ...] = ()
    withheld: tuple[int, ...] = ()
    exposure_unit: str = "rows"
    inputs: int = 0
    step_rows: int = 0
    step_tokens: int = 0
    step_flops: Mapping[str, float] = field(default_factory=dict)
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    quantities: Mapping[str, Quantity] = field(default_factory=dict)
    constants: Mapping[str, Constant] = field(default_factory=dict)
    planned: tuple[float, ...] = ()
    status: str = "running"
    step: int = 0
    shown: tuple[int, ...] = ()
    seconds: float = 0.0
    started: str = ""
    written: str = ""
    command: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    hardware: Mapping[str, Any] = field(default_factory=dict)
    mesh: Mapping[str, int] = field(default_factory=dict)
    parts: tuple[Mapping[str, Any], ...] = ()
    starts: tuple[Mapping[str, Any], ...] = ()
    records: Mapping[str, Any] = field(default_factory=dict)
    halted: Mapping[str, int] = field(default_factory=dict)
    skipped: Mapping[str, int] = field(default_factory=dict)
    layout: int = layout.LAYOUT

    @property
    def sealed(self) -> bool:
        """Whether the run's files are sealed."""
        return self.layout >= layout.SEALED


_LATER: Mapping[str, Any] = {"records": {}, "mesh": {}, "parts": [], "halted": {}, "skipped": {}}
"""What manifests of older versions lack."""


def write_manifest(folder: epath.Path, manifest: Manifest) -> None:
    """Writes the manifest of a run, with what this process knows of itself and when it started."""
    before, now = read_manifest(folder), _now()
    complete = dataclasses.replace(
        manifest,
        layout=before.layout if before else manifest.layout,
        started=before.started if before else now,
        written=now,
        command=command(),
        versions=versions(),
        hardware=hardware(),
    )
    complete = dataclasses.replace(
        complete, parts=_parts(before, complete), starts=_starts(before, complete)
    )
    write_record(folder / NAME, _as_json(complete))


@functools.cache
def _process() -> dict[str, Any]:
    """This process, as the manifests that it writes tell of it."""
    return {"host": socket.gethostname(), "process": os.getpid(), "since": _now()}


def _starts(before: Manifest | None, now: Manifest) -> tuple[Mapping[str, Any], ...]:
    """The starts of a run with that of this process; one that finds it stopped has come anew."""
    known = before.starts if before else ()
    if known and now.status != "running":
        return known
    own = {**_process(), "step": now.step}
    if known and before and before.status == "running" and {**known[-1], "step": now.step} == own:
        return known
    return (*known, own)


def _parts(before: Manifest | None, now: Manifest) -> tuple[Mapping[str, Any], ...]:
    """The parts of a run with that which this process trains, if it is another than the last."""
    known = before.parts if before else ()
    if before and not known:  # an older version did not write them
        known = ({"step": 0, "hardware": before.hardware, "mesh": {}, "versions": before.versions},)
    known = tuple(part for part in known if part["step"] <= now.step)  # others are trained again
    own = {name: dict(getattr(now, name)) for name in ("hardware", "mesh", "versions")}
    if known and all(known[-1][name] in ({}, value) for name, value in own.items()):
        return known
    return (*known, {"step": now.step, **own})


def read_manifest(folder: epath.Path) -> Manifest | None:
    """The manifest of a run; None where it never started.

    Raises:
        Damaged: it is damaged, or of another layout.
    """
    path = folder / NAME
    if not path.exists():
        return None
    remedy = f"delete the run {folder} to train it again"
    required = layout.check(read_object(path), path) >= layout.SEALED
    stored = read_record(path, remedy, required)
    try:
        return _from_json({**_LATER, **stored})
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Damaged(f"{path}: damaged, not the manifest of a run ({error})") from error


def _as_json(manifest: Manifest) -> dict[str, Any]:
    own = {each.name: getattr(manifest, each.name) for each in dataclasses.fields(manifest)}
    return own | {
        "students": [student._asdict() for student in manifest.students],
        "quantities": {name: own._asdict() for name, own in manifest.quantities.items()},
        "constants": {
            name: {**own.quantity._asdict(), "values": own.values.tolist()}
            for name, own in manifest.constants.items()
        },
    }


def _from_json(stored: dict[str, Any]) -> Manifest:
    constants = {
        name: Constant(_quantity(own), np.asarray(own["values"], np.float64))
        for name, own in stored["constants"].items()
    }
    lists = {name: tuple(own) for name, own in stored.items() if isinstance(own, list)}
    parts = {
        "students": tuple(Student(**student) for student in stored["students"]),
        "labels": {name: tuple(own) for name, own in stored["labels"].items()},
        "quantities": {name: _quantity(own) for name, own in stored["quantities"].items()},
        "constants": constants,
    }
    return Manifest(**stored | lists | parts)


def _quantity(stored: dict[str, Any]) -> Quantity:
    return Quantity(tuple(stored["dims"]), stored["unit"], stored["meaning"])


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
