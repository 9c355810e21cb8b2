"""The quickstart shows what it says, on streams on which it was not tuned."""

import json
import os
import subprocess
import sys

import pytest
from etils import epath

from rare_retention.evidence import arms, branches
from rare_retention.record.dataset import load

EVEN, BURST, KEPT = "even", "gap 50", "gap 50, protected"


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """The quickstart on other streams, on one device."""
    folder = tmp_path_factory.mktemp("quickstart")
    command = [
        sys.executable, "-m", "launch.study", "--config=configs/quickstart.py",
        "--config.streams=3", "--config.first_stream=2000", f"--workdir={folder}",
    ]  # fmt: skip
    done = subprocess.run(
        command, env=os.environ | {"XLA_FLAGS": ""}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "report.html" in done.stdout
    return folder


def test_its_claims_hold(workdir):
    verdicts = json.loads((workdir / "claims.json").read_text())
    assert len(verdicts) == 3
    assert {v["claim"]: v["verdict"] for v in verdicts} == {v["claim"]: "holds" for v in verdicts}


def test_the_contrast_is_plain(workdir):
    """Without room nothing helps; with room bursts cost the small one all, protection no more."""
    results = load(epath.Path(workdir) / "results.nc")
    (point,) = arms.points(results.sel(branch="trunk"))
    assert arms.room(point).to_numpy().tolist() == [False, True, True]
    level = {name: arms.held(point, name).mean("initialisation") for name in (EVEN, BURST, KEPT)}
    none, small, large = (
        {name: values.isel(size=i).to_numpy() for name, values in level.items()} for i in range(3)
    )
    assert max(none[name].max() for name in level) < 0.1
    assert small[EVEN].min() > 0.9 and small[BURST].max() < 0.1 and small[KEPT].min() > 0.8
    assert min(large[name].min() for name in level) > 0.6


def test_the_small_one_forgets_faster_from_the_same_level(workdir):
    results = load(epath.Path(workdir) / "results.nc").sel(arm="even")
    level = branches.level(results, "no more").mean("initialisation").isel(size=[1, 2])
    assert (level.isel(step=0) > 0.9).all()
    at = level.sel(step=80)
    assert (at.isel(size=0) < at.isel(size=1) - 0.1).all()
