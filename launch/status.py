"""Shows how far each unit of a study is, while it is trained or after; reads its files alone.

Example:
    python -m launch.status --workdir=runs/quickstart
    python -m launch.status --workdir=runs/quickstart --json=status.json

`--json=-` prints JSON in place of the table.
"""

import json
from typing import TYPE_CHECKING

from absl import flags
from etils import epath

from launch import common
from rare_retention import flags as command_line

if TYPE_CHECKING:
    from rare_retention.study.status import StudyStatus

_JSON = command_line.define_path(
    "json", None, "file for the same as JSON; - prints it alone", shared=True
)

flags.declare_key_flag("workdir")


def main(_: list[str]) -> int:
    """Shows the status; returns the exit code."""
    from rare_retention.record.files import write_json
    from rare_retention.study.status_table import table

    common.quieten()
    status = _status(common.workdir())
    if _JSON.value == "-":
        print(json.dumps(status.to_dict(), indent=2))
        return 0
    for line in table(status):
        print(line)
    if _JSON.value:
        write_json(epath.Path(_JSON.value), status.to_dict())
    return 0


def _status(workdir: epath.Path) -> "StudyStatus":
    """The status of a study, or of a run that was trained by itself."""
    from rare_retention.record.manifest import NAME
    from rare_retention.study.folder import STUDY, stored_study
    from rare_retention.study.status import run_status, study_status

    if (workdir / NAME).exists() and not (workdir / STUDY).exists():
        return run_status(workdir)
    return study_status(stored_study(workdir), workdir)


if __name__ == "__main__":
    flags.mark_flag_as_required("workdir")
    command_line.run(main)
