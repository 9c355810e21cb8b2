"""Lists the checkpoints of a run or of all runs of a study, and compares all files with digests.

Example:
    python -m launch.checkpoints --workdir=runs/quickstart --verify
    python -m launch.checkpoints --workdir=runs/quickstart --repair

`--verify` reads every file: what the study is, blocks of metrics, exposures, checkpoints, evidence
and results. `--repair` also sets aside, under a name that ends in .damaged, what is damaged and is
made again: by the study's own command, by launch.evidence and by launch.report.
"""

import contextlib

from absl import flags
from etils import epath
from tqdm import tqdm

from launch import common
from rare_retention import flags as command_line
from rare_retention.errors import Damaged, UserError
from rare_retention.wording import plural

_VERIFY = flags.DEFINE_bool("verify", False, "read every file and compare it with its digest")
_REPAIR = flags.DEFINE_bool("repair", False, "also set aside what is damaged and is made again")

flags.declare_key_flag("workdir")


def main(_: list[str]) -> int:
    """Lists the checkpoints; returns the exit code, 1 if anything is damaged and stays so."""
    common.quieten()
    workdir = common.workdir()
    for run in _runs(workdir):
        _list(run)
    if _VERIFY.value or _REPAIR.value:
        return _verify(workdir)
    return 0


def _runs(workdir: epath.Path) -> list[epath.Path]:
    """Folders of runs.

    Raises:
        UserError: there are none.
    """
    from rare_retention.record import files, layout
    from rare_retention.record.manifest import NAME
    from rare_retention.study.folder import RUNS

    runs = [
        path for path in [workdir, *files.listed(workdir / RUNS, "*")] if (path / NAME).exists()
    ]
    if not runs:
        raise UserError(f"{workdir}: holds no run (there is no {NAME})")
    for path in (run / NAME for run in runs):
        with contextlib.suppress(Damaged):
            layout.check(files.read_object(path), path)
    return runs


def _list(run: epath.Path) -> None:
    from rare_retention.record.records import RESUME, RETENTION, STATES, steps_in

    for root in (RESUME, RETENTION, STATES):
        steps = steps_in(run / root)
        if root == STATES and not steps:
            continue
        listed = ", ".join(map(str, steps))
        print(f"{run / root}: {plural(len(steps), 'checkpoint')} {listed}")


def _verify(workdir: epath.Path) -> int:
    """Reads all files and prints what is wrong; the exit code.

    Raises:
        UserError: files of a run that is being written are to be set aside.
    """
    from rare_retention.record.holder import NAME as LOCK
    from rare_retention.study.inspection import ASIDE, inspect, set_aside

    if _REPAIR.value:
        for run in _runs(workdir):
            if (run / LOCK).exists():
                raise UserError(
                    f"{run}: is being written, or was when its process was killed; stop that, or "
                    f"delete {run / LOCK} where none is left"
                )
    with tqdm(unit="file", leave=False) as bar:
        faults = list(inspect(workdir, lambda _: bar.update()))
    left = 0
    for fault in faults:
        aside = _REPAIR.value and set_aside(fault)
        absent = not fault.path.exists() and not aside
        print(f"{fault.why}{f' [set aside as {fault.path.name}{ASIDE}]' if aside else ''}")
        left += not (_REPAIR.value and fault.mends and (aside or absent))
    if not faults:
        print("all files are whole")
    elif _REPAIR.value and not left:
        print("the study's own command, launch.evidence and launch.report make them again")
    return 1 if left else 0


if __name__ == "__main__":
    flags.mark_flag_as_required("workdir")
    command_line.run(main)
