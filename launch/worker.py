"""Trains units of a study beside any number of other workers, here and on other machines.

Examples:
    python -m launch.worker --workdir=runs/quickstart --config=configs/quickstart.py
    python -m launch.worker --workdir=gs://bucket/retention
    python -m launch.worker --workdir=gs://bucket/retention --per_device --report

Each takes the first unit that is free, trains it, takes the next. With --config a worker begins the
study, or finds it as it is to be; without, the workdir says which study it is. When no unit is free
any more it waits for those of the others, and takes over what a worker that ended has left.
"""

import os
import sys

from absl import flags
from etils import epath

from launch import _per_device, _units, _watch, common
from rare_retention import flags as command_line
from rare_retention.errors import UserError
from rare_retention.study.folder import STUDY, stored_study
from rare_retention.study.grid import Study, check_flags, units

_PER_DEVICE = flags.DEFINE_bool(
    "per_device", False, "start a worker for each GPU or TPU chip of this machine"
)
_REPORT = flags.DEFINE_bool("report", False, "make the report when all is done; for one worker")
_WAIT = flags.DEFINE_bool("wait", True, "stay while other workers train; --nowait leaves")

flags.adopt_module_key_flags(common)
flags.adopt_module_key_flags(_units)
flags.adopt_module_key_flags(_watch)


def main(study: Study | None) -> int:
    """Works on the study; returns the exit code."""
    if _REPORT.value and not _WAIT.value:
        raise UserError("--report comes when all is done, and --nowait leaves before: drop one")
    if not _PER_DEVICE.value:
        return _work(study)
    if common.MULTIHOST.value or common.DRY_RUN.value:
        other = "multihost" if common.MULTIHOST.value else "dry_run"
        raise UserError(f"--per_device starts workers of one device each: leave out --{other}")
    return _start_each()


def _work(study: Study | None) -> int:
    """Is one worker; returns the exit code."""
    from rare_retention.study.describe import describe
    from rare_retention.text.declared import declared

    common.start()
    workdir, begin = common.workdir(), study is not None
    study = study or _stored(workdir)
    with declared("absent" if common.DRY_RUN.value else "never"):
        _units.check(study)
        if common.DRY_RUN.value:
            for line in describe(study, elsewhere=True):
                common.say(line)
            return 0
    common.check_place(workdir, "study")
    return _units.train(
        study,
        workdir,
        retry_failed=_units.RETRY.value,
        watched=_watch.watching(study.name, (unit.run for unit in units(study)), common.say),
        report=_REPORT.value,
        begin=begin,
        wait=_WAIT.value,
    )


def _start_each() -> int:
    """Starts a worker for each device, and makes the report if asked to; returns the exit code."""
    from rare_retention.report.build import build

    command = [sys.executable, "-m", "launch.worker", *sys.argv[1:], "--noper_device", "--noreport"]
    code = _per_device.together(command, _per_device.environments(os.environ))
    if _REPORT.value and code in (0, 1):
        workdir = common.workdir()
        for line in build(stored_study(workdir), workdir):
            print(line)
    return code


def _stored(workdir: epath.Path) -> Study:
    """The study that the workdir holds.

    Raises:
        UserError: it holds none.
    """
    if not (workdir / STUDY).exists():
        raise UserError(
            f"--workdir={workdir}: holds no study yet; --config=FILE.py says which one to begin"
        )
    return stored_study(workdir)


if __name__ == "__main__":
    flags.mark_flag_as_required("workdir")
    command_line.run(main, Study, check_flags, optional=True)
