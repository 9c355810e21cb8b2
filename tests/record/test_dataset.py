"""Results on disk."""

import errno

import numpy as np
import pytest
import xarray as xr
from etils import epath

from rare_retention.errors import UserError
from rare_retention.record import dataset

RESULTS = xr.Dataset(
    {
        "loss": (("size", "step"), np.arange(6.0).reshape(2, 3), {"units": "nats"}),
        "finished": ((), True),
    },
    {"size": ["small", "large"], "step": np.arange(3)},
    {"name": "made", "tasks": ["common", "rare"]},
)


def test_what_is_saved_is_loaded(tmp_path):
    path = epath.Path(tmp_path) / "new" / "results.nc"
    dataset.save(RESULTS, path)
    loaded = dataset.load(path)
    xr.testing.assert_equal(loaded, RESULTS)
    assert loaded.loss.attrs == {"units": "nats"} and loaded.attrs["tasks"] == ["common", "rare"]
    path.unlink()  # all of it is in memory
    assert float(loaded.loss.sum()) == 15


def test_arrays_are_compressed(tmp_path):
    path = epath.Path(tmp_path) / "results.nc"
    dataset.save(xr.Dataset({"loss": ("step", np.zeros(100_000))}), path)
    assert len(path.read_bytes()) < 100_000


def test_no_results_yet(tmp_path):
    path = epath.Path(tmp_path) / "results.nc"
    with pytest.raises(UserError, match=r"results.nc: no results; run the study first"):
        dataset.load(path)


@pytest.mark.parametrize("content", [b"not netCDF", b"\x89HDF\r\n\x1a\n cut off"])
def test_damaged_results_are_one_line_with_a_remedy(tmp_path, content):
    path = epath.Path(tmp_path) / "results.nc"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"damaged \(.*\); delete it and do it again$") as caught:
        dataset.load(path, remedy="do it again")
    assert "\n" not in str(caught.value)


def test_a_full_disk_leaves_the_former_results(tmp_path, monkeypatch):
    path = epath.Path(tmp_path) / "results.nc"
    dataset.save(RESULTS, path)

    def full(self, target):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(type(path), "replace", full)
    with pytest.raises(UserError, match="no space left on the disk"):
        dataset.save(RESULTS * 2, path)
    monkeypatch.undo()
    xr.testing.assert_equal(dataset.load(path), RESULTS)
