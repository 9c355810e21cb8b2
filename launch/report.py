"""Rebuilds results, claims, figures and page of a study from its runs; needs no accelerator.

Example:
    python -m launch.report --workdir=runs/quickstart
"""

from absl import flags

from launch import common
from rare_retention import flags as command_line

flags.declare_key_flag("workdir")


def main(_: list[str]) -> int:
    """Rebuilds the report; returns the exit code."""
    from rare_retention.report.build import build
    from rare_retention.study.folder import stored_study

    common.quieten()
    workdir = common.workdir()
    for line in build(stored_study(workdir), workdir):
        print(line)
    return 0


if __name__ == "__main__":
    flags.mark_flag_as_required("workdir")
    command_line.run(main)
