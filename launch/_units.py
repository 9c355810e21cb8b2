"""What `launch.study` and `launch.worker` share: a study is checked, its units are trained."""

from typing import TYPE_CHECKING

from absl import flags
from etils import epath

from launch import _watch, common
from rare_retention.errors import ConfigError
from rare_retention.study.grid import Study
from rare_retention.wording import plural

if TYPE_CHECKING:
    from rare_retention.watch.watching import Watching

RETRY = flags.DEFINE_bool("retry_failed", False, "try units again that failed earlier")


def check(study: Study) -> None:
    """Checks what is known before anything is computed.

    Raises:
        ConfigError: a claim, a figure or a stream that cannot be.
    """
    from rare_retention.report.figures import select
    from rare_retention.study.claims import check_names
    from rare_retention.study.describe import variables

    check_names(study.claims)
    select(study.figures, variables(study))
    if study.run.stream:
        raise ConfigError(
            "run.stream", f"a study numbers its own streams, got {study.run.stream}; set `streams`"
        )


def train(
    study: Study,
    workdir: epath.Path,
    *,
    retry_failed: bool,
    report: bool,
    watched: "Watching",
    only: str | None = None,
    begin: bool = True,
    wait: bool = True,
) -> int:
    """Trains units as one of any number of workers; returns the exit code.

    Args:
        study: whose units.
        workdir: of the study.
        report: make the report in the end.
        retry_failed: as `execute` takes it, and the others too.
        watched: what is to be seen meanwhile.
        only: the one unit.
        begin: keep the study in the workdir.
        wait: stay until the units of others are done.
    """
    from rare_retention.parallel import is_primary
    from rare_retention.report.build import build
    from rare_retention.study.execute import execute

    outcome = execute(
        study,
        workdir,
        retry_failed,
        only,
        watching=watched,
        begin=begin,
        wait=wait,
        say=common.say,
    )
    _watch.conclude(watched, common.say)
    if outcome.stopped:
        common.say(f"stopped and saved; the same command goes on with {workdir}")
        return common.INTERRUPTED
    for name, reason in outcome.failed.items():
        common.say(f"failed: {name}: {reason}; try again with --retry_failed")
    if not report:
        hint = f"python -m launch.report --workdir={workdir} makes the report of all that is there"
        common.say(f"{only} has failed; {hint}" if only in outcome.failed else hint)
    elif outcome.finished and is_primary():
        for line in build(study, workdir):
            common.say(line)
    common.say(f"{plural(outcome.finished, 'unit')} finished, {len(outcome.failed)} failed")
    return 1 if outcome.failed else 0
