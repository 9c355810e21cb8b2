"""What a user has asked to see of the runs of a job."""

from dataclasses import dataclass

from rare_retention.watch.profile import Profiler


@dataclass(frozen=True, kw_only=True)
class Watching:
    """What a user has asked to see; no part of any run's identity.

    Attributes:
        trackers: names of trackers, see `watch.choosing`.
        study: name of the study, as trackers show it.
        profiler: traces some steps of one run; None traces none.
    """

    trackers: tuple[str, ...] = ()
    study: str = ""
    profiler: Profiler | None = None
