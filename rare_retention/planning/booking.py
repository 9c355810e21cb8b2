"""What a unit of a study needs of a topology, and what it costs: arithmetic on what is known."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from rare_retention.planning.ahead import Compiled
from rare_retention.planning.topology import Topology

HOUR = 3600.0

KERNEL_SHARE = 0.5
"""Share of the peak at which kernels of attention are taken to run: stated, not measured."""


class Work(NamedTuple):
    """What there is to do in a unit, whatever does it.

    Attributes:
        unit: its name.
        sizes: of its models.
        units: units of the study that share its programs, itself among them.
        steps: updates.
        call: updates of the longest compiled call.
        flops: operations of a step by the families' formulas.
        walked: the same, counted from what is traced.
        checkpoint: bytes of one checkpoint.
        snapshots: bytes of all snapshots and whole states.
    """

    unit: str
    sizes: tuple[str, ...]
    units: int
    steps: int
    call: int
    flops: float
    walked: float
    checkpoint: int
    snapshots: int


class Booking(NamedTuple):
    """A unit on a topology.

    Attributes:
        work: what is to be done.
        topology: what does it.
        compiled: name of a program -> what the compiler says of it, or arithmetic; empty where
            nothing fits.
        arithmetic: whether no compiler was asked.
        fits: whether all programs do.
        flags: what is to be added to the command.
        choice: mesh, pieces and rematerialisation.
        mfu: share of the peak that is assumed.
    """

    work: Work
    topology: Topology
    compiled: dict[str, Compiled]
    arithmetic: bool
    fits: bool
    flags: tuple[str, ...]
    choice: dict[str, Any]
    mfu: float

    @property
    def most(self) -> Compiled | None:
        """The program that takes the most memory."""
        found = self.compiled.values()
        return max(found, key=lambda own: own.bytes) if found else None

    @property
    def seconds(self) -> float | None:
        """Of a step at the assumed share of the peak; None where no peak is stated."""
        peak = self.topology.peak
        return self.work.flops / (self.mfu * peak) if peak and self.work.flops else None

    @property
    def bound(self) -> float | None:
        """Seconds of a step that the compiler's own estimate does not go below; None: not asked."""
        cycles = [own.cycles for own in self.compiled.values() if own.cycles is not None]
        return max(cycles) / self.topology.chip.clock if cycles else None

    @property
    def charged(self) -> float | None:
        """The same, kernels of attention at `KERNEL_SHARE` of the peak; None: not asked."""
        if self.bound is None or not self.topology.peak:
            return None
        kernels = max(own.kernels for own in self.compiled.values())
        return self.bound + kernels * self.topology.devices / (KERNEL_SHARE * self.topology.peak)

    @property
    def hours(self) -> float | None:
        """Of all steps of the unit; measuring, compiling and saving come on top."""
        return None if self.seconds is None else self.seconds * self.work.steps / HOUR

    @property
    def chip_hours(self) -> float | None:
        """Hours of all chips."""
        return None if self.hours is None else self.hours * self.topology.chips

    def json(self) -> dict[str, Any]:
        """All of it as JSON values."""
        most, work, seconds = self.most, self.work, self.seconds
        step = next((own.step for own in self.compiled.values() if own.step), ())
        return {
            "unit": work.unit,
            "sizes": list(work.sizes),
            "units_alike": work.units,
            "topology": self.topology.name,
            "accelerator_type": self.topology.accelerator,
            "chips": self.topology.chips,
            "hosts": self.topology.hosts,
            "devices": self.topology.devices,
            "fits": self.fits,
            "by": "arithmetic" if self.arithmetic else "compiler",
            "bytes_per_device": None if most is None else most.bytes,
            "capacity": self.topology.chip.memory if most is None else most.capacity,
            "bytes_by_program": {name: own.bytes for name, own in self.compiled.items()},
            "largest_buffers": [] if most is None else [own._asdict() for own in most.largest],
            "collectives": [own._asdict() for own in step],
            "flops_per_step": {"analytic": work.flops, "walked": work.walked},
            "mfu": self.mfu,
            "seconds_per_step": seconds,
            "seconds_per_step_bound": self.bound,
            "seconds_per_step_with_kernels": self.charged,
            "steps": work.steps,
            "steps_per_call": work.call,
            "minutes_per_call": None if seconds is None else seconds * work.call / 60,
            "hours": self.hours,
            "chip_hours": self.chip_hours,
            "checkpoint_bytes": work.checkpoint,
            "snapshot_bytes": work.snapshots,
            "choice": self.choice,
            "flags": list(self.flags),
        }


def total(bookings: Sequence[Booking]) -> float | None:
    """Chip-hours of all units of a study; None where one does not fit or has no time stated."""
    parts = [(own.chip_hours, own.work.units) for own in bookings if own.fits]
    if len(parts) < len(bookings) or any(hours is None for hours, _ in parts):
        return None
    return sum(hours * units for hours, units in parts if hours is not None)
