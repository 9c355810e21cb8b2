"""Shows a published model, or writes one of a run in a layout of Hugging Face's transformers.

Examples:
    python -m launch.exchange --show=models/DataDecide-dolma1_7-20M
    python -m launch.exchange --workdir=runs/one --checkpoint=2000 --student=20M:1 --to=models/new

A student is a size of the run, and after a colon its initialisation, 0 if there is none.
"""

from typing import TYPE_CHECKING

import numpy as np
from absl import flags
from etils import epath

from launch import common
from rare_retention import flags as command_line
from rare_retention.config import from_dict, to_dict
from rare_retention.errors import UserError
from rare_retention.experiment import Run
from rare_retention.settings.language import Language

if TYPE_CHECKING:
    from rare_retention.models.layouts import Params

_SHOW = command_line.define_path("show", None, "folder of a published model, local or gs://")
_CHECKPOINT = flags.DEFINE_integer("checkpoint", None, "step of the run; the newest if left out")
_STUDENT = flags.DEFINE_string("student", "", "SIZE or SIZE:INITIALISATION, if there are several")
_TO = command_line.define_path("to", None, "folder that is written, local or gs://")

flags.declare_key_flag("workdir")


def main(_: list[str]) -> int:
    """Shows or writes a model; returns the exit code."""
    common.quieten()
    if bool(_SHOW.value) == bool(common.WORKDIR.value):
        raise UserError("expected one of --show=FOLDER and, to export, --workdir=RUN")
    try:
        if _SHOW.value:
            _show(epath.Path(_SHOW.value))
        else:
            _export(common.workdir())
    except ImportError as error:  # of gs://
        raise UserError(f"a package is missing: {' '.join(str(error).split())}") from None
    return 0


def _show(folder: epath.Path) -> None:
    """Reads a published model as a whole, and prints what it is."""
    from rare_retention.models import exchange

    shape, _ = exchange.load(folder)
    for name, value in to_dict(shape).items():
        print(f"{name:<14}{value}")
    print(f"{'parameters':<14}{shape.parameters:,}")


def _export(folder: epath.Path) -> None:
    import jax

    from rare_retention.models import exchange

    if not _TO.value:
        raise UserError("--to is required: a folder for the model")
    setting = _setting(folder)
    label, group, row = _student(setting)
    step = _step(folder)
    shape = setting.architectures[group]
    params = jax.tree.map(lambda leaf: np.asarray(leaf[row]), _params(folder, step)[group])
    exchange.save(epath.Path(_TO.value), shape, params, setting.window)
    print(f"{_TO.value}: {label} after step {step:,}, {shape.parameters:,} parameters")


def _setting(folder: epath.Path) -> Language:
    """The setting of a run of language models.

    Raises:
        UserError: the folder holds no such run, or one of another layout.
    """
    from rare_retention.record.files import CONFIG, read_record
    from rare_retention.record.manifest import read_manifest

    path = folder / CONFIG
    if not path.exists():
        raise UserError(f"{folder}: holds no run (there is no {CONFIG})")
    about = read_manifest(folder)
    remedy = "run launch.train or launch.study again, which writes it anew"
    sealed = about is not None and about.sealed
    setting = from_dict(Run, read_record(path, remedy, sealed)).setting
    if not isinstance(setting, Language):
        raise UserError(f"{path}: a {setting.kind} setting has no language models to export")
    return setting


def _student(setting: Language) -> tuple[str, str, int]:
    """SIZE:INITIALISATION of the student asked for, its group and its row in the group's arrays.

    Raises:
        UserError: there is no such one.
    """
    known = {
        f"{student.size}:{student.initialisation}": student for student in setting.family.students
    }
    asked = _STUDENT.value or (next(iter(known)) if len(known) == 1 else "")
    label = asked if ":" in asked else f"{asked}:0"
    if label not in known:
        raise UserError(f"--student={asked}: no such model; expected one of {', '.join(known)}")
    return label, known[label].group, known[label].initialisation


def _step(folder: epath.Path) -> int:
    """The checkpoint that is asked for.

    Raises:
        UserError: there is no such one.
    """
    from rare_retention.record.records import RESUME, RETENTION, STATES, steps_in

    steps = sorted({s for root in (RETENTION, RESUME, STATES) for s in steps_in(folder / root)})
    step = _CHECKPOINT.value
    if step is None and steps:
        step = steps[-1]
    if step not in steps:
        some = ", ".join(map(str, steps)) or "none"
        raise UserError(f"--checkpoint={step}: not in {folder}; its checkpoints are {some}")
    return step


def _params(folder: epath.Path, step: int) -> "Params":
    """Weights of all students after a step."""
    from rare_retention.record.checkpoints import verify
    from rare_retention.record.records import RESUME, RETENTION, STATES, steps_in

    if step in steps_in(folder / RETENTION):
        return verify(folder / RETENTION, step)
    root = RESUME if step in steps_in(folder / RESUME) else STATES
    return verify(folder / root, step)["params"]


if __name__ == "__main__":
    command_line.run(main)
