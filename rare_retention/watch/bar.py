"""The progress bar of a run."""

import math
from collections.abc import Sequence

from tqdm import tqdm

from rare_retention.wording import duration

_FORMAT = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}{postfix}]"


class Bar:
    """Steps, what is being done, how fast, how long yet, loss and learning rate."""

    def __init__(self, label: str, step: int, steps: int, quiet: bool) -> None:
        """Draws a bar.

        Args:
            label: of the run.
            step: that an earlier process has reached.
            steps: of the run.
            quiet: draw nothing, as on all hosts but the first.
        """
        self._bar = tqdm(
            total=steps,
            initial=step,
            desc=label or "steps",
            unit="step",
            disable=quiet,
            bar_format=_FORMAT,
        )
        self.say("starting")

    def say(self, doing: str) -> None:
        """Shows at once what is being done, such as "compiling"."""
        self._bar.set_postfix_str(doing)

    def reached(self, step: int, text: str) -> None:
        """Shows a step, and what there is to say of it, soon."""
        self._bar.set_postfix_str(text, refresh=False)
        self._bar.update(step - self._bar.n)

    def close(self) -> None:
        """Leaves the bar as it stands."""
        self._bar.refresh()
        self._bar.close()


def words(
    left: int, rate: float | None, losses: Sequence[float], learning_rate: float | None
) -> str:
    """What a bar says beside the steps.

    Args:
        left: steps.
        rate: steps a second; None where not known yet.
        losses: of all students, as last measured; none before.
        learning_rate: of the first student, as of that measurement.
    """
    parts = []
    if rate:
        parts += [f"{duration(left / rate)} left", f"{rate:.3g} steps/s"]
    finite = [loss for loss in losses if math.isfinite(loss)]
    if finite:
        low, high = (f"{own:.3g}" for own in (min(finite), max(finite)))
        parts.append(f"loss {low}" if low == high else f"loss {low} to {high}")
    if len(finite) < len(losses):
        parts.append(f"{len(losses) - len(finite)} of {len(losses)} losses not finite")
    if learning_rate is not None:
        parts.append(f"learning rate {learning_rate:.3g}")
    return ", ".join(parts) or "training"
