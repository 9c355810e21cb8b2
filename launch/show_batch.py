"""Prints the rows of one batch by task, and when a task is shown next.

Example:
    python -m launch.show_batch --config=configs/quickstart.py --step=1000000 --task=-1
"""

from absl import flags

from launch.common import plural
from rare_retention import flags as command_line
from rare_retention.errors import ConfigError
from rare_retention.study.grid import Study

_STEP = flags.DEFINE_integer("step", 0, "step whose batch is shown", lower_bound=0)
_TASK = flags.DEFINE_integer("task", -1, "task whose next exposure is shown; -1 is the rarest")


def main(study: Study) -> int:
    """Prints the batch; returns the exit code."""
    run, step = study.run, _STEP.value
    schedule, names = run.schedule(), run.setting.task_names
    if not -len(names) <= _TASK.value < len(names):
        raise ConfigError("task", f"expected {-len(names)} to {len(names) - 1}, got {_TASK.value}")
    task = _TASK.value % len(names)
    rows = schedule.rows(step)
    print(f"batch {step:,} of stream {run.stream}: {plural(schedule.batch, 'row')}")
    for k, count in enumerate(schedule.counts(step)):
        where = (rows == k).nonzero()[0]
        some = ", ".join(map(str, where[:12])) + (", ..." if len(where) > 12 else "")
        print(f"  {names[k]:<16} {count:>6}  rows {some or '-'}")
    following = schedule.next_exposure(task, step + 1)
    print(
        f"{names[task]} is shown next at step {following:,}, "
        f"in {plural(int(schedule.counts(following)[task]), 'row')}"
    )
    return 0


if __name__ == "__main__":
    command_line.run(main, Study)
