"""The contract of a tracker, held against every one whose package is installed."""

import importlib.util
import math

import pytest
from etils import epath

from rare_retention.watch.choosing import TRACKERS, open_tracker
from rare_retention.watch.tracker import Place


@pytest.mark.parametrize("name", TRACKERS)
def test_a_run_that_is_begun_and_goes_on(name, tmp_path, monkeypatch):
    if importlib.util.find_spec(TRACKERS[name].package) is None:
        pytest.skip(f"{TRACKERS[name].package} is not installed")
    monkeypatch.setenv("WANDB_MODE", "offline")
    place = Place(epath.Path(tmp_path), "unit", "study", {"batch": 8})
    for begin in (-1, 10, 5):
        tracker = open_tracker(name, place)
        tracker.begin(begin)
        tracker.flush()  # with nothing to flush
        for step in range(begin + 1, begin + 4):
            tracker.log(step, 1e9 + step, {"loss/a task #1/4M": 0.5, "train_loss/4M": math.nan})
            tracker.flush()
        tracker.close()
    assert (tmp_path / name).is_dir()


def test_one_that_was_only_named_closes(tmp_path):
    for name, kind in TRACKERS.items():
        if importlib.util.find_spec(kind.package) is not None:
            open_tracker(name, Place(epath.Path(tmp_path), "", "", {})).close()
    assert not list(tmp_path.iterdir())
