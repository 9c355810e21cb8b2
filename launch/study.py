"""Trains every run of a study that is not finished yet, and writes its report.

Example:
    python -m launch.study --config=configs/quickstart.py --workdir=runs/quickstart

Running the same command again goes on where it was stopped, retraining nothing that is finished.
"""

from absl import flags

from launch import common
from rare_retention import flags as command_line
from rare_retention.errors import ConfigError
from rare_retention.parallel import is_primary
from rare_retention.report.build import build
from rare_retention.report.figures import select
from rare_retention.study.claims import check_names
from rare_retention.study.describe import describe, variables
from rare_retention.study.execute import execute
from rare_retention.study.grid import Study
from rare_retention.wording import plural

_RETRY = flags.DEFINE_bool("retry_failed", False, "try runs again that failed earlier")


flags.adopt_module_key_flags(common)


def main(study: Study) -> int:
    """Runs the study; returns the exit code."""
    common.start()
    check_names(study.claims)
    select(study.figures, variables(study))
    if study.run.stream:
        raise ConfigError(
            "run.stream", f"a study numbers its own streams, got {study.run.stream}; set `streams`"
        )
    for line in describe(study):
        common.say(line)
    if common.DRY_RUN.value:
        return 0
    workdir = common.workdir()
    outcome = execute(study, workdir, _RETRY.value)
    if outcome.stopped:
        common.say(f"stopped and saved; the same command goes on with {workdir}")
        return common.INTERRUPTED
    for name, reason in outcome.failed.items():
        common.say(f"failed: {name}: {reason}; try again with --retry_failed")
    if outcome.finished and is_primary():
        for line in build(study, workdir):
            common.say(line)
    common.say(f"{plural(outcome.finished, 'run')} finished, {len(outcome.failed)} failed")
    return 1 if outcome.failed else 0


if __name__ == "__main__":
    flags.mark_flag_as_required("workdir")
    command_line.run(main, Study)
