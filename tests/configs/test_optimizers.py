"""The study of optimizers: its arms are what they say, fit their batches, and run side by side."""

import json

import numpy as np
import pytest
from etils import epath

from rare_retention.config import override
from rare_retention.flags import load
from rare_retention.record.dataset import load as load_results
from rare_retention.report.build import build
from rare_retention.study.claims import CLAIMS
from rare_retention.study.execute import execute
from rare_retention.study.grid import check_shapes, units
from rare_retention.theory import utility
from rare_retention.train.plan import make_plan

SHRUNK = {
    "run.steps": "800",
    "run.setting.widths": "(6,)",
    "run.mesh.data": "1",
    "streams": "1",
}


@pytest.fixture(scope="module")
def study():
    return load("configs/synthetic/optimizers.py")


def test_arms_are_what_their_names_say(study):
    arms = {unit.coordinates["optimizer"]: unit.run.optimizer for unit in units(study)}
    found = {name: (own.method, own.clip, own.beta2) for name, own in arms.items()}
    assert found == {
        "sgd": ("sgd", None, 0.999),
        "sgd clipped": ("sgd", 1.0, 0.999),
        "adamw": ("adamw", 1.0, 0.999),
        "adamw 0.95": ("adamw", 1.0, 0.95),
        "muon": ("muon", 1.0, 0.999),
    }
    assert set(study.claims) <= set(CLAIMS)


def test_every_run_can_be_planned_and_joined(study):
    check_shapes(study)
    for unit in units(study):
        plan = make_plan(unit.run, unit.run.schedule())
        assert plan.stops[-1] == unit.run.steps == 4000


def test_both_widths_have_room(study):
    tasks = study.run.setting.tasks
    spectra = np.stack([utility.power_spectrum(tasks.block, own) for own in (4.0, 4.0)])
    for width in study.run.setting.widths:
        assert utility.retained(np.array(tasks.prior), spectra, width)[-1] > 0


@pytest.mark.slow
def test_a_shrunk_one_runs_and_is_drawn(study, tmp_path):
    workdir = epath.Path(tmp_path)
    shrunk = override(study, SHRUNK)
    outcome = execute(shrunk, workdir)
    assert outcome.finished == 10 and not outcome.failed
    list(build(shrunk, workdir))
    results = load_results(workdir / "results.nc")
    assert results["optimizer"].to_numpy().tolist() == list(study.grid[0].named)
    last = results["signal"].sel(step=800, gap=50).isel(task=0)
    assert (last > 0.2).all(), last
    verdicts = json.loads((workdir / "claims.json").read_text())
    assert [v["claim"] for v in verdicts] == list(study.claims)
    assert (workdir / "figures" / "gap_width.png").exists()
