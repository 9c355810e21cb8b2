"""The language quickstart shows what it says: the larger model learns the rare task."""

import json
import os
import subprocess
import sys

import pytest
from etils import epath

from rare_retention.record.dataset import load


@pytest.mark.slow  # seven minutes on two cores
def test_its_claims_hold(tmp_path):
    command = [
        sys.executable, "-m", "launch.study", "--config=configs/quickstart_lm.py",
        f"--workdir={tmp_path}",
    ]  # fmt: skip
    done = subprocess.run(
        command, env=os.environ | {"XLA_FLAGS": ""}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    verdicts = json.loads((tmp_path / "claims.json").read_text())
    assert {v["claim"]: v["verdict"] for v in verdicts} == {
        "larger_learns_rarer": "holds",
        "frequency_orders_learning": "inconclusive",  # two pairs of frequencies on each stream
        "learns_text": "holds",
    }
    results = load(epath.Path(tmp_path) / "results.nc")
    final = results.loss.isel(step=-1).mean(["stream", "initialisation"])
    rare = final.sel(task="comparison", per_token=results.per_token.min())
    small, large = rare.isel(size=0), rare.isel(size=-1)
    assert small - large > 0.7  # nats
    assert results.unigram_entropy.max() - final.sel(task="text").max() > 0.5
