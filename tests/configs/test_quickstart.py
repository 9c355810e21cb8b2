"""The quickstart shows what it says: the narrow student loses it again, the wide one does not."""

import json
import os
import subprocess
import sys

import pytest
from etils import epath

from rare_retention.record.dataset import load


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """The first half of the quickstart, on one device."""
    folder = tmp_path_factory.mktemp("quickstart")
    command = [
        sys.executable, "-m", "launch.study", "--config=configs/quickstart.py",
        "--config.run.steps=3200", "--config.run.measure.cycles=8",
        f"--workdir={folder}",
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
    results = load(epath.Path(workdir) / "results.nc")
    rare = results.signal.sel(task="regression 2").mean(["stream", "initialisation"])
    before, after = 800 - 1, slice(800, 830)  # around the second injection
    narrow, wide = rare.sel(size=3), rare.sel(size=12)
    assert narrow.sel(step=after).max() - narrow.sel(step=before) > 0.1
    assert narrow.sel(step=1199) - narrow.sel(step=before) < 0.02
    assert wide.sel(step=3199) > 0.6 and wide.sel(step=399) < 0.3
