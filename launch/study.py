"""Trains every unit of a study that is not finished yet, and writes the study's report.

Example:
    python -m launch.study --config=configs/quickstart.py --workdir=runs/quickstart
    python -m launch.study --config=configs/quickstart.py --workdir=runs/quickstart --units

Running the same command again goes on where it was stopped, retraining nothing that is finished.
`--units` lists the units with their state, and `--unit=NAME` trains one of them, on this machine or
another that sees the workdir; `launch.report` then makes the report.
"""

from absl import flags

from launch import _unit, common
from rare_retention import flags as command_line
from rare_retention.errors import ConfigError, UserError
from rare_retention.study.grid import Study, check_flags, unit_named
from rare_retention.wording import plural

_RETRY = flags.DEFINE_bool("retry_failed", False, "try units again that failed earlier")
_UNITS = flags.DEFINE_bool("units", False, "list all units with their state, then leave")

flags.adopt_module_key_flags(common)
flags.adopt_module_key_flags(_unit)


def main(study: Study) -> int:
    """Runs the study; returns the exit code."""
    if _UNITS.value and _unit.UNIT.value:
        raise UserError("--units lists all units and --unit trains one: leave one of them out")
    if _UNITS.value:
        return _list(study)
    from rare_retention.text.declared import declared

    # A dry run may stand where the corpus does not; then it says so.
    with declared("absent" if common.DRY_RUN.value else "never"):
        _check(study)
        return _train(study)


def _check(study: Study) -> None:
    """Checks what is known before anything is computed.

    Raises:
        ConfigError: a claim, a figure, a unit or a stream that cannot be.
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
    if _unit.UNIT.value is not None:
        unit_named(study, _unit.UNIT.value)


def _train(study: Study) -> int:
    """Trains the units and makes the report; returns the exit code."""
    from rare_retention.parallel import is_primary
    from rare_retention.report.build import build
    from rare_retention.study.describe import describe
    from rare_retention.study.execute import execute

    common.start()
    for line in describe(study, elsewhere=common.DRY_RUN.value):
        common.say(line)
    if common.DRY_RUN.value:
        return 0
    workdir = common.workdir()
    common.check_place(workdir, "study")
    outcome = execute(study, workdir, _RETRY.value, _unit.UNIT.value)
    if outcome.stopped:
        common.say(f"stopped and saved; the same command goes on with {workdir}")
        return common.INTERRUPTED
    for name, reason in outcome.failed.items():
        common.say(f"failed: {name}: {reason}; try again with --retry_failed")
    if _unit.UNIT.value is not None:
        common.say(_about_one(_unit.UNIT.value, outcome.finished, workdir))
    elif outcome.finished and is_primary():
        for line in build(study, workdir):
            common.say(line)
    common.say(f"{plural(outcome.finished, 'unit')} finished, {len(outcome.failed)} failed")
    return 1 if outcome.failed else 0


def _list(study: Study) -> int:
    """Prints the units; neither the corpus nor an accelerator need be there."""
    from rare_retention.study.progress import Progress

    common.quieten()
    for line in Progress(study, common.workdir()).lines():
        print(line)
    return 0


def _about_one(name: str, finished: int, workdir: object) -> str:
    """What to do after one unit."""
    report = f"python -m launch.report --workdir={workdir} makes the report of all that is there"
    return report if finished else f"{name} has failed; {report}"


if __name__ == "__main__":
    flags.mark_flag_as_required("workdir")
    command_line.run(main, Study, check_flags)
