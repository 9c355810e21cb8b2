"""How far the units of a study are, and which of their whole states are still wanted."""

import contextlib
from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING

from etils import epath

from rare_retention.errors import Damaged
from rare_retention.record import records
from rare_retention.record.files import read_json
from rare_retention.record.manifest import Manifest, read_manifest
from rare_retention.record.records import STATES, steps_in
from rare_retention.study.folder import RUNS
from rare_retention.study.grid import Study, Unit, units

if TYPE_CHECKING:
    from rare_retention.train.origin import Parent

FAILURE = "failure.json"
"""Why a unit failed, in its folder."""


class Progress:
    """The units of a study, as their folders have them.

    Neither the corpus nor an accelerator need be there.

    Attributes:
        units: all of them, each before its branches.
    """

    def __init__(self, study: Study, workdir: epath.Path) -> None:
        """Lists the units; their folders are read when they are asked about.

        Args:
            study: whose units.
            workdir: of the study.
        """
        self.units = units(study)
        self._kept = set(study.run.snapshots.states)
        self._workdir = workdir
        self._named = {unit.name: unit for unit in self.units}
        self._branches: dict[str, list[Unit]] = defaultdict(list)
        for unit in self.units:
            self._branches[unit.parent].append(unit)

    def folder(self, name: str) -> epath.Path:
        """The folder of a unit."""
        return self._workdir / RUNS / name

    def parent(self, unit: Unit) -> "Parent | None":
        """The run that a unit goes on from, if it goes on from one."""
        from rare_retention.train.origin import Parent  # by who trains: who looks on needs no JAX

        if not unit.parent:
            return None
        return Parent(self.folder(unit.parent), self._named[unit.parent].run)

    def is_finished(self, unit: Unit) -> bool:
        """Whether exactly this recipe was trained to its end, and its wanted states are there."""
        folder = self.folder(unit.name)
        about = read_manifest(folder)
        return (
            about is not None
            and _is_whole(unit, about)
            and self.wanted(unit) <= set(steps_in(folder / STATES))
            and not (about.sealed and records.missing(folder, about.records))
        )

    def wanted(self, unit: Unit) -> set[int]:
        """Whole states that the study keeps, or from which unfinished branches go on."""
        open_ = {own.run.start for own in self._branches[unit.name] if not self._is_sound(own)}
        return self._kept.intersection(unit.run.snapshots.states) | open_

    def _is_sound(self, branch: Unit) -> bool:
        """Whether a branch is finished; one whose files are damaged may have to go on again."""
        try:
            return self.is_finished(branch)
        except Damaged:
            return False

    def drop(self, unit: Unit) -> None:
        """Deletes whole states of a unit's parent from which no branch has to go on any more."""
        if unit.parent:
            root, wanted = self.folder(unit.parent) / STATES, self.wanted(self._named[unit.parent])
            for step in steps_in(root):
                if step not in wanted:
                    _delete(root / str(step))

    def lines(self) -> Iterator[str]:
        """A line for each unit: its name, how far it is, and what it goes on from."""
        for unit in self.units:
            yield f"{unit.name}  {self._state(unit)}{_continues(unit)}"

    def _state(self, unit: Unit) -> str:
        folder = self.folder(unit.name)
        about = read_manifest(folder)
        step, last = (0 if about is None else about.step), unit.run.steps
        if (folder / FAILURE).exists():
            return f"failed: {read_json(folder / FAILURE)['reason']}"
        if about is None:
            return "not started"
        if self.is_finished(unit):
            return "finished"
        if about.sealed and (lost := records.missing(folder, about.records)):
            return f"to be trained again: {lost[0]} is not there"
        if about.status == "finished" and step >= last:
            return "finished, but for a state that a branch is to go on from"
        return f"at step {step:,} of {last:,} or beyond"


def _delete(folder: epath.Path) -> None:
    """Deletes a folder, which another worker may be deleting too."""
    while folder.exists():
        with contextlib.suppress(FileNotFoundError):
            folder.rmtree()


def _is_whole(unit: Unit, about: Manifest) -> bool:
    return (
        about.identity == unit.run.identity()
        and about.status == "finished"
        and about.step >= unit.run.steps
    )


def _continues(unit: Unit) -> str:
    """What a branch goes on from, and what it does otherwise."""
    if not unit.parent:
        return ""
    what = ", ".join(f"{change.field}={change.value}" for change in unit.changes)
    return f"  [from step {unit.run.start:,} of {unit.parent}; {what or 'nothing changed'}]"
