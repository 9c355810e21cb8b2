"""Flags of launchers that train: what is to be seen of the runs meanwhile."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from absl import flags

if TYPE_CHECKING:
    from rare_retention.experiment import Run
    from rare_retention.watch.watching import Watching

TRACK = flags.DEFINE_list(
    "track",
    None,
    "where scalars go, by commas: tensorboard, wandb, or none; tensorboard, if it is installed, "
    "where nothing is said",
)
PROFILE = flags.DEFINE_string(
    "profile", None, "FIRST:LAST, steps of which JAX's profiler writes a trace, such as 10:20"
)


def watching(study: str, runs: "Iterable[Run]", say: Callable[[str], object]) -> "Watching":
    """What the flags ask for.

    Args:
        study: its name, for trackers.
        runs: that are trained in this job.
        say: prints a line.

    Raises:
        UserError: a tracker is not known or not installed, or no run has the steps of a profile.
    """
    from rare_retention.parallel import is_primary
    from rare_retention.watch.choosing import chosen
    from rare_retention.watch.profile import Profiler, read_span
    from rare_retention.watch.watching import Watching

    names, left_out = chosen(TRACK.value)
    if left_out:
        say(left_out)
    profiler = None
    if PROFILE.value is not None:
        span = read_span(PROFILE.value, ((run.start, run.steps) for run in runs))
        profiler = Profiler(span, say, is_primary())
    return Watching(trackers=names, study=study, profiler=profiler)


def conclude(watched: "Watching", say: Callable[[str], object]) -> None:
    """Says what the flags have asked for that has not come about."""
    if watched.profiler is not None and (line := watched.profiler.unused()):
        say(line)
