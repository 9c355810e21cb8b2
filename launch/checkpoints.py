"""Lists the checkpoints of a run or of all runs of a study, and compares them with their digests.

Example:
    python -m launch.checkpoints --workdir=runs/quickstart --verify
"""

from absl import flags
from tqdm import tqdm

from launch import common
from rare_retention import flags as command_line
from rare_retention.errors import UserError
from rare_retention.wording import plural

_VERIFY = flags.DEFINE_bool("verify", False, "read every checkpoint and compare its digests")

flags.declare_key_flag("workdir")


def main(_: list[str]) -> int:
    """Lists the checkpoints; returns the exit code, 1 if any is damaged."""
    from rare_retention.record import files
    from rare_retention.record.checkpoints import RESUME, RETENTION, STATES, steps_in, verify
    from rare_retention.record.manifest import NAME, read_manifest
    from rare_retention.study.folder import RUNS

    common.quieten()
    workdir = common.workdir()
    runs = [
        path for path in [workdir, *files.listed(workdir / RUNS, "*")] if (path / NAME).exists()
    ]
    if not runs:
        raise UserError(f"{workdir}: holds no run (there is no {NAME})")
    damaged = []
    for run in runs:
        read_manifest(run)
        for root in (RESUME, RETENTION, STATES):
            steps = steps_in(run / root)
            if root == STATES and not steps:
                continue
            listed = ", ".join(map(str, steps))
            print(f"{run / root}: {plural(len(steps), 'checkpoint')} {listed}")
            for step in tqdm(steps, disable=not _VERIFY.value, unit="checkpoint", leave=False):
                if _VERIFY.value:
                    try:
                        verify(run / root, step)
                    except UserError as error:
                        damaged.append(str(error))
    for line in damaged:
        print(line)
    if _VERIFY.value and not damaged:
        print("all checkpoints are whole")
    return 1 if damaged else 0


if __name__ == "__main__":
    flags.mark_flag_as_required("workdir")
    command_line.run(main)
