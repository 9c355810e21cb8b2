"""Trains one run: what the runs of a study share, on one stream, without the study's grid.

Example:
    python -m launch.train --config=configs/quickstart.py --workdir=runs/one
    python -m launch.train --config=configs/quickstart.py --workdir=runs/two --profile=10:20

Running the same command again goes on where it was stopped.

With `--parent=runs/one --from=2000` a run goes on from that state of another one under what its own
flags say, such as --config.run.optimizer.peak=1e-4, as a run with an identity of its own.
"""

from typing import TYPE_CHECKING

from absl import flags
from etils import epath

from launch import _watch, common
from rare_retention import flags as command_line
from rare_retention.errors import UserError
from rare_retention.experiment import Run
from rare_retention.record.manifest import NAME as MANIFEST
from rare_retention.study.grid import Study

if TYPE_CHECKING:
    from rare_retention.train.origin import Parent

_PARENT = command_line.define_path("parent", None, "folder of the run to go on from, with --from")
_FROM = flags.DEFINE_integer("from", None, "step of its state, kept in states/ or resume/")

flags.adopt_module_key_flags(common)
flags.adopt_module_key_flags(_watch)


def main(study: Study) -> int:
    """Trains the run; returns the exit code."""
    from rare_retention.study.describe import describe_run
    from rare_retention.text.declared import declared
    from rare_retention.train.loop import train

    common.start()
    folder = common.workdir()
    with declared("absent" if common.DRY_RUN.value else "never"):
        parent, run = _origin(study.run, folder)
        watched = _watch.watching(study.name, [run], common.say)
        for line in describe_run(run, elsewhere=common.DRY_RUN.value):
            common.say(line)
    if common.DRY_RUN.value:
        return 0
    common.check_place(folder, "run")
    step = train(run, folder, study.name, parent=parent, watching=watched)
    _watch.conclude(watched, common.say)
    common.say(f"{folder}: state after step {step:,} of {run.steps:,}")
    return 0 if step >= run.steps else common.INTERRUPTED


def _origin(run: Run, folder: epath.Path) -> "tuple[Parent | None, Run]":
    """The run that --parent and --from name, if they do, and the one that goes on from it.

    Raises:
        UserError: one of the flags is missing, or there is no such run or state.
        ConfigError: the new run is of other models, tasks or batches.
    """
    from rare_retention.train.branching import going_on

    if _PARENT.value is None and _FROM.value is None:
        return None, run
    if _PARENT.value is None or _FROM.value is None:
        raise UserError("--parent names a run and --from the step of its state: give both")
    place = epath.Path(_PARENT.value)
    if place == folder:
        raise UserError(f"--workdir={folder}: is the parent's own; choose a folder for the branch")
    return going_on(run, place, _FROM.value, begun=(folder / MANIFEST).exists())


if __name__ == "__main__":
    flags.mark_flag_as_required("workdir")
    command_line.run(main, Study)
