"""Evidence from snapshots, where streams have snapshots of their own besides common ones."""

import numpy as np
from made_representation import representation

from rare_retention.evidence import representation as evidence


def test_evidence_is_followed_over_the_snapshots_that_all_streams_have():
    point = representation().isel(per_token=0).copy(deep=True)
    point["r2"].loc[{"stream": 0, "snapshot": 100}] = np.nan
    found = evidence.over_training(point, "r2", "comparison")
    assert found["step"].values.tolist() == [0, 1000, 10_000]
    assert found.notnull().all()
    last = point["r2"].sel(snapshot=10_000, task="comparison")
    np.testing.assert_array_equal(evidence.at_end(point, "r2", "comparison"), last)
