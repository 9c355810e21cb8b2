"""The list of what a run has kept, held against its folder."""

import numpy as np
from etils import epath

from rare_retention.record import metrics, records
from rare_retention.record.exposures import write_exposures
from rare_retention.schedule.schedule import Exposures


def test_what_is_gone_is_missed_with_the_state_from_which_it_is_trained_again(tmp_path):
    folder = epath.Path(tmp_path)
    store = metrics.Metrics(folder, "run")
    for steps in ((0, 4), (8, 12)):
        for step in steps:
            store.add(step, {"loss": np.zeros((1, 2))})
        store.flush()
    (folder / records.RETENTION / "8").mkdir(parents=True)
    (folder / records.RETENTION / "9.damaged").mkdir()
    none = Exposures(np.zeros(0, np.int64), np.zeros(0, np.int64))
    write_exposures(folder, "run", {"rare": none})
    listed = records.kept(folder)
    assert listed[records.RETENTION] == [8] and len(listed[metrics.FOLDER]) == 2
    assert records.missing(folder, listed) == [] and records.first_lost(folder, listed) is None
    (folder / "exposures.npz").unlink()
    assert records.missing(folder, listed) == ["exposures.npz"]
    assert records.first_lost(folder, listed) is None  # it is written anew without training
    (folder / records.RETENTION / "8").rmdir()
    (folder / metrics.FOLDER / listed[metrics.FOLDER][1]).unlink()
    assert records.first_lost(folder, listed) == (8, f"metrics/{listed[metrics.FOLDER][1]}")
    assert len(records.missing(folder, listed)) == 3
    assert records.missing(folder, {}) == []
