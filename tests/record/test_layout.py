"""What a workdir of another layout says when it is read."""

import json

import numpy as np
import pytest
import xarray as xr
from etils import epath

from rare_retention.errors import UserError
from rare_retention.record.dataset import load, save
from rare_retention.record.layout import LAYOUT, check, stamped
from rare_retention.record.manifest import Manifest, read_manifest, write_manifest
from rare_retention.study.results import load_run

REFUSED = (
    r": written by another version of rare_retention \(layout 1 of workdirs, this one has "
    rf"{LAYOUT}\)"
)


def test_what_is_stamped_is_read():
    check(stamped({"name": "x"}), epath.Path("recipe.json"))
    with pytest.raises(UserError, match=f"recipe.json{REFUSED}; choose another --workdir, or use"):
        check({"name": "x"}, epath.Path("recipe.json"))


def test_manifests_of_the_former_layout_are_refused(tmp_path):
    folder = epath.Path(tmp_path)
    write_manifest(folder, Manifest(identity="x"))
    assert read_manifest(folder).identity == "x"
    stored = json.loads((folder / "manifest.json").read_text())
    assert stored.pop("layout") == LAYOUT
    (folder / "manifest.json").write_text(json.dumps(stored))
    for read in (read_manifest, load_run):
        with pytest.raises(UserError, match=f"manifest.json{REFUSED}") as caught:
            read(folder)
        assert "\n" not in str(caught.value)


def test_results_of_the_former_layout_are_refused(tmp_path):
    path = epath.Path(tmp_path) / "results.nc"
    results = xr.Dataset({"loss": ("step", np.ones(3))}, attrs={"name": "x"})
    save(results, path)
    assert load(path).identical(results) and results.attrs == {"name": "x"}
    results.to_netcdf(path, engine="h5netcdf")
    with pytest.raises(UserError, match=f"results.nc{REFUSED}"):
        load(path)
