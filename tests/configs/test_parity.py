"""The study of sparse parities: its two sizes, and that a shrunken one runs and is drawn."""

import json
import math

import pytest
from etils import epath

from rare_retention.config import override
from rare_retention.flags import load
from rare_retention.record.dataset import load as load_results
from rare_retention.report.build import build
from rare_retention.study.claims import CLAIMS
from rare_retention.study.execute import execute

SHRUNK = {
    "run.setting.tasks": "4",
    "run.setting.bits": "6",
    "run.setting.subset": "2",
    "run.setting.widths": "(2, 8)",
    "run.batch": "32",
    "run.steps": "40",
    "run.measure.every": "10",
    "run.mesh.data": "1",
    "streams": "2",
}


@pytest.mark.parametrize("size", ["paper", "small"])
def test_its_sizes_are_three_bits_at_an_exponent_of_1_4(size):
    study = load(f"configs/parity.py:{size}")
    setting, optimizer = study.run.setting, study.run.optimizer
    assert (setting.subset, setting.prior_exponent, setting.evaluated) == (3, 1.4, 1000)
    assert study.run.exposure.placement == "iid"
    assert (optimizer.weight_decay, optimizer.clip, optimizer.schedule) == (0, None, "constant")
    assert study.streams >= 3
    assert set(study.claims) <= set(CLAIMS)


def test_the_papers_size_is_that_of_the_published_code():
    run = load("configs/parity.py").run
    setting = run.setting
    assert (setting.tasks, setting.bits, run.batch, run.steps) == (500, 100, 20_000, 200_000)
    assert (min(setting.widths), max(setting.widths), run.optimizer.peak) == (10, 500, 1e-3)


def test_the_small_one_is_small():
    paper, small = (load(f"configs/parity.py:{size}").run for size in ("paper", "small"))
    work = [run.steps * sum(run.setting.family.flops(run.batch).values()) for run in (paper, small)]
    assert work[1] < work[0] / 5000


@pytest.mark.slow
@pytest.mark.parametrize("size", ["paper", "small"])
def test_shrunk_it_runs_and_is_judged_and_drawn(size, tmp_path):
    study, workdir = override(load(f"configs/parity.py:{size}"), SHRUNK), epath.Path(tmp_path)
    outcome = execute(study, workdir)
    assert (outcome.finished, outcome.failed) == (2, {})
    lines = list(build(study, workdir))
    assert len(lines) == len(study.claims) + 1
    results = load_results(workdir / "results.nc")
    assert results["accuracy"].notnull().all()
    assert float(results["loss"].isel(step=0).mean()) == pytest.approx(math.log(2), abs=0.1)
    assert (tmp_path / "figures" / "parity.png").exists()
    verdicts = json.loads((tmp_path / "claims.json").read_text())
    assert [v["claim"] for v in verdicts] == list(study.claims)
