"""What is asked for of the runs of a job."""

from rare_retention.experiment import Run
from rare_retention.watch.watching import Watching


def test_by_default_nothing_is_written_but_progress():
    assert Watching() == Watching(trackers=(), study="", profiler=None)


def test_it_is_no_part_of_a_run():
    assert not set(Watching.__dataclass_fields__) & set(Run.__dataclass_fields__)
