"""A run by itself that goes on from the state of another one, found in that one's folder."""

from etils import epath

from rare_retention.config import ConfigError, from_dict
from rare_retention.errors import UserError
from rare_retention.experiment import Run, turned
from rare_retention.record.files import CONFIG, read_record
from rare_retention.record.manifest import read_manifest
from rare_retention.record.records import RESUME, STATES, steps_in
from rare_retention.train.origin import Parent

_SHARED = ("stream", "held", "setting.tasks", "setting.corpus", "setting.watch")
"""What is the same in a run and its branches, beside their models."""


def going_on(run: Run, folder: epath.Path, step: int, begun: bool = False) -> tuple[Parent, Run]:
    """The run that is gone on from, and the one that goes on from it.

    Args:
        run: what is wanted; its optimizer, exposure, rule and measurements may be others.
        folder: of the run that it goes on from.
        step: of the state.
        begun: whether the branch has a checkpoint of its own, and needs the state no more.

    Raises:
        UserError: there is no such run or state.
        ConfigError: the two are of other models, tasks or streams, or there is nothing to train.
    """
    parent = _stored(folder)
    root = _root(folder, step, begun)
    _check_alike(parent, run)
    if run.steps <= step:
        raise ConfigError(
            "run.steps", f"{run.steps:,} are reached at step {step:,} already; expected more"
        )
    return Parent(folder, parent, root), turned(parent, step, run)


def _stored(folder: epath.Path) -> Run:
    """The run of a folder, as its config.json has it."""
    path = folder / CONFIG
    about = read_manifest(folder)
    if about is None or not path.exists():
        raise UserError(f"--parent={folder}: holds no run; expected a folder with {CONFIG}")
    stored = read_record(path, "run its own command again, which writes it anew", about.sealed)
    return from_dict(Run, stored)


def _root(folder: epath.Path, step: int, begun: bool) -> str:
    """Where a run has kept a state."""
    kept = {root: steps_in(folder / root) for root in (STATES, RESUME)}
    for root, steps in kept.items():
        if step in steps:
            return root
    if begun:
        return RESUME
    known = sorted({own for steps in kept.values() for own in steps})
    raise UserError(
        f"--from={step}: {folder} has kept no whole state of that step; expected one of "
        f"{', '.join(map(str, known)) or 'none: train it first'}"
    )


def _check_alike(parent: Run, run: Run) -> None:
    """Refuses a run whose weights or batches are not those of its parent.

    Raises:
        ConfigError: naming the first field that differs.
    """
    if parent.setting.kind != run.setting.kind:
        raise ConfigError(
            "run.setting.kind", f"{run.setting.kind!r}, the parent's is {parent.setting.kind!r}"
        )
    if parent.setting.family.students != run.setting.family.students:
        raise ConfigError(
            f"run.setting.{run.setting.size_field}",
            "a branch has the models of its parent; leave sizes and initialisations as they are "
            "there",
        )
    for field in _SHARED:
        values = []
        for own in (parent, run):
            value: object = own
            for part in field.split("."):
                value = getattr(value, part, None)
            values.append(value)
        if values[0] != values[1]:
            raise ConfigError(
                f"run.{field}", f"{values[1]}, the parent's is {values[0]}; leave it as it is there"
            )
