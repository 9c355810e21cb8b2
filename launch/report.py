"""Rebuilds results, claims, figures and page of a study from its runs; needs no accelerator.

Example:
    python -m launch.report --workdir=runs/quickstart
    python -m launch.report --workdir=runs/quickstart --watch

`--watch` stays, builds it again whenever a unit has finished, and leaves when all have, or at
Ctrl-C.
"""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from absl import flags

from launch import common
from rare_retention import flags as command_line
from rare_retention.errors import UserError

if TYPE_CHECKING:
    from etils import epath

    from rare_retention.study.grid import Study

_WATCH = flags.DEFINE_bool("watch", False, "build it again whenever a unit has finished")

_EVERY = 5.0  # seconds between two looks

flags.declare_key_flag("workdir")


def main(_: list[str]) -> int:
    """Rebuilds the report; returns the exit code."""
    from rare_retention.study.folder import stored_study

    common.quieten()
    workdir = common.workdir()
    if not _WATCH.value:
        _build(stored_study(workdir), workdir)
        return 0
    try:
        watch(workdir, lambda: time.sleep(_EVERY))
    except KeyboardInterrupt:
        print("\nstopped watching; the report is as it was last built")
    return 0


def _build(study: "Study", workdir: "epath.Path") -> None:
    from rare_retention.report.build import build

    for line in build(study, workdir):
        print(line, flush=True)


def watch(workdir: "epath.Path", wait: Callable[[], object]) -> None:
    """Builds the report again whenever a unit has finished, until all have.

    Args:
        workdir: of the study, which may grow meanwhile.
        wait: is called between two looks.

    Raises:
        UserError: the workdir holds no study.
    """
    from rare_retention.study.folder import stored_study
    from rare_retention.study.grid import units
    from rare_retention.study.status import finished_since
    from rare_retention.wording import plural

    drawn: dict[str, str] | None = None
    while True:
        study = stored_study(workdir)
        count, finished = len(units(study)), finished_since(study, workdir)
        if finished != drawn:
            clock = time.strftime("%H:%M:%S")
            print(f"{clock}  {len(finished)} of {plural(count, 'unit')} finished", flush=True)
            try:
                if finished:
                    _build(study, workdir)
            except UserError as error:  # such as a file that is missing at this moment
                print(f"not built: {error}; waiting for the next change", flush=True)
            drawn = finished
        if len(finished) == count:
            return
        wait()


if __name__ == "__main__":
    flags.mark_flag_as_required("workdir")
    command_line.run(main)
