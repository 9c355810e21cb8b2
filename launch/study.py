"""Trains every unit of a study that is not finished yet, and writes the study's report.

Example:
    python -m launch.study --config=configs/quickstart.py --workdir=runs/quickstart
    python -m launch.study --config=configs/quickstart.py --workdir=runs/quickstart --units

Running the same command again goes on where it was stopped, retraining nothing that is finished.
Any number of `launch.worker` may take units of it meanwhile, on this machine or on others that see
the workdir: what they hold is passed over, and waited for in the end. `--units` lists the units
with their state; `--unit=NAME` trains one of them; `launch.report` makes the report at any time.
"""

from absl import flags

from launch import _unit, _units, _watch, common
from rare_retention import flags as command_line
from rare_retention.errors import UserError
from rare_retention.study.grid import Study, check_flags, unit_named, units

_UNITS = flags.DEFINE_bool("units", False, "list all units with their state, then leave")

flags.adopt_module_key_flags(common)
flags.adopt_module_key_flags(_unit)
flags.adopt_module_key_flags(_units)
flags.adopt_module_key_flags(_watch)


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
    _units.check(study)
    if _unit.UNIT.value is not None:
        unit_named(study, _unit.UNIT.value)


def _train(study: Study) -> int:
    """Trains the units and makes the report; returns the exit code."""
    from rare_retention.study.describe import describe

    common.start()
    todo = units(study) if _unit.UNIT.value is None else [unit_named(study, _unit.UNIT.value)]
    watched = _watch.watching(study.name, (unit.run for unit in todo), common.say)
    for line in describe(study, elsewhere=common.DRY_RUN.value):
        common.say(line)
    if common.DRY_RUN.value:
        return 0
    workdir = common.workdir()
    common.check_place(workdir, "study")
    one = _unit.UNIT.value
    return _units.train(
        study,
        workdir,
        retry_failed=_units.RETRY.value,
        watched=watched,
        only=one,
        report=one is None,
    )


def _list(study: Study) -> int:
    """Prints the units; neither the corpus nor an accelerator need be there."""
    from rare_retention.study.progress import Progress

    common.quieten()
    for line in Progress(study, common.workdir()).lines():
        print(line)
    return 0


if __name__ == "__main__":
    flags.mark_flag_as_required("workdir")
    command_line.run(main, Study, check_flags)
