"""Trains one run: what the runs of a study share, on one stream, without the study's grid.

Example:
    python -m launch.train --config=configs/quickstart.py --workdir=runs/one

Running the same command again goes on where it was stopped.
"""

from absl import flags

from launch import common
from rare_retention import flags as command_line
from rare_retention.study.grid import Study

flags.adopt_module_key_flags(common)


def main(study: Study) -> int:
    """Trains the run; returns the exit code."""
    from rare_retention.study.describe import describe_run
    from rare_retention.text.declared import declared
    from rare_retention.train.loop import train

    common.start()
    with declared("absent" if common.DRY_RUN.value else "never"):
        for line in describe_run(study.run, elsewhere=common.DRY_RUN.value):
            common.say(line)
    if common.DRY_RUN.value:
        return 0
    folder = common.workdir()
    common.check_place(folder, "run")
    step = train(study.run, folder, study.name)
    common.say(f"{folder}: state after step {step:,} of {study.run.steps:,}")
    return 0 if step >= study.run.steps else common.INTERRUPTED


if __name__ == "__main__":
    flags.mark_flag_as_required("workdir")
    command_line.run(main, Study)
