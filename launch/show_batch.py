"""Prints the rows of one batch by task, and when a task is shown next.

Example:
    python -m launch.show_batch --config=configs/quickstart.py --step=1000000 --task=-1
"""

from collections.abc import Iterator

import numpy as np
from absl import flags
from tokenizers import Tokenizer

from rare_retention import flags as command_line
from rare_retention.errors import ConfigError
from rare_retention.experiment import Run
from rare_retention.settings.language import Language
from rare_retention.study.grid import Study
from rare_retention.wording import plural

_SHOWN = 12  # tokens of a sequence

_STEP = flags.DEFINE_integer("step", 0, "step whose batch is shown", lower_bound=0)
_TASK = flags.DEFINE_integer("task", -1, "task whose next exposure is shown; -1 is the rarest")


def main(study: Study) -> int:
    """Prints the batch; returns the exit code."""
    run, step = study.run, _STEP.value
    schedule, names = run.schedule(), run.setting.task_names
    injected = isinstance(run.setting, Language)
    unit = "slot" if injected else "row"
    if not -len(names) <= _TASK.value < len(names):
        raise ConfigError("task", f"expected {-len(names)} to {len(names) - 1}, got {_TASK.value}")
    task = _TASK.value % len(names)
    rows = schedule.rows(step)
    print(f"batch {step:,} of stream {run.stream}: {plural(schedule.slots, unit)}")
    for k, count in enumerate(schedule.counts(step)):
        print(f"  {names[k]:<16} {count:>6}{'' if injected else _where(rows == k)}")
    if isinstance(run.setting, Language):
        for line in _sequences(run, run.setting):
            print(line)
    if task in schedule.left_out:
        print(f"{names[task]} is left out, and never shown")
        return 0
    following = schedule.next_exposure(task, step + 1)
    print(
        f"{names[task]} is shown next at step {following:,}, "
        f"in {plural(int(schedule.counts(following)[task]), unit)}"
    )
    return 0


def _where(mine: np.ndarray) -> str:
    """The first rows of a task, which stand as the schedule has them."""
    where = mine.nonzero()[0]
    return f"  rows {', '.join(map(str, where[:12])) or '-'}{', ...' if len(where) > 12 else ''}"


def _sequences(run: Run, setting: Language) -> Iterator[str]:
    """How the first sequence without an instance, and the first with one of each task, begin."""
    steps = range(_STEP.value, _STEP.value + 1)
    found = setting.batches(run.schedule(), run.seeds.tasks, steps, slice(None))
    tokens, owners = found["tokens"][0], found["task"][0]
    path = setting.windows.tokenizer
    decode = Tokenizer.from_str(path.read_text()).decode if path else None
    for k, name in enumerate(setting.task_names):
        rows = np.flatnonzero((owners == k).any(1) if k else (owners == 0).all(1))
        if rows.size:
            start = tokens[rows[0], :_SHOWN].tolist()
            text = decode(start, skip_special_tokens=False) if decode else ""
            yield f"  {name}, sequence {rows[0]}: {start} {text!r}"


if __name__ == "__main__":
    command_line.run(main, Study)
