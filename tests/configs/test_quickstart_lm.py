"""The language quickstart shows what it says: the larger model learns a rare task and keeps it."""

import json
import os
import subprocess
import sys

import pytest
from etils import epath

from rare_retention.record.dataset import load


@pytest.mark.slow  # ten minutes on two cores
def test_the_larger_model_learns_the_rare_task_and_keeps_it_longer(tmp_path):
    command = [
        sys.executable, "-m", "launch.study", "--config=configs/quickstart_lm.py",
        f"--workdir={tmp_path}",
    ]  # fmt: skip
    done = subprocess.run(
        command, env=os.environ | {"XLA_FLAGS": ""}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    verdicts = {v["claim"]: v for v in json.loads((tmp_path / "claims.json").read_text())}
    assert verdicts["larger_learns_rarer"]["verdict"] == "holds"
    assert verdicts["learns_text"]["verdict"] == "holds"
    assert verdicts["larger_forgets_slower"]["estimate"] > 0.3  # log2 of half-lives
    results = load(epath.Path(tmp_path) / "results.nc").sel(branch="trunk")
    final = results.loss.isel(step=-1).mean(["stream", "initialisation"])
    rare = final.sel(task="comparison", per_token=results.per_token.min())
    small, large = rare.isel(size=0), rare.isel(size=-1)
    assert small - large > 0.7  # nats
    assert results.unigram_entropy.max() - final.sel(task="text").max() > 0.5
