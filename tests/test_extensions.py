"""What a file of a user's own adds: it trains, is measured, judged, and read back."""

import dataclasses
import json
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from etils import epath

from rare_retention.config import config, from_dict, to_dict
from rare_retention.errors import ConfigError
from rare_retention.experiment import Measurement, Run
from rare_retention.flags import load
from rare_retention.optimizer import Optimizer
from rare_retention.record import metrics
from rare_retention.record.manifest import read_manifest
from rare_retention.report.build import build
from rare_retention.settings.competition import Competition
from rare_retention.settings.competition_objective import Alignments
from rare_retention.settings.quantity import Quantity
from rare_retention.settings.setting import SETTINGS
from rare_retention.study.claims import CLAIMS
from rare_retention.study.execute import execute
from rare_retention.study.folder import stored_study
from rare_retention.train.loop import train

OWN = Path(__file__).parent / "own_study.py"


@pytest.fixture(scope="module")
def study():
    known = dict(CLAIMS)
    yield load(str(OWN))
    CLAIMS.clear()  # what the file has added is for these tests alone
    CLAIMS.update(known)


@pytest.fixture(scope="module")
def workdir(study, tmp_path_factory):
    folder = epath.Path(tmp_path_factory.mktemp("own"))
    assert not execute(study, folder).failed
    list(build(study, folder))
    return folder


@pytest.fixture(scope="module")
def results(workdir):
    return xr.load_dataset(workdir / "results.nc", engine="h5netcdf")


def test_a_placement_decides_when_tasks_are_shown(study, results):
    """Exposures at steps 2, 4 and, beyond the last update, 8."""
    schedule = study.run.schedule()
    shown = [t for t in range(40) if schedule.counts(t)[1]]
    assert shown == [2, 4, 8, 16, 32] == schedule.exposures(0, 40, 1).tolist()
    assert schedule.shown(40).tolist() == sum(map(schedule.counts, range(40))).tolist()
    steps = results["exposure_step"].isel(stream=0, watch=0).to_numpy()
    assert steps.tolist() == [2, 4, 8]


def test_a_task_of_several_tokens_is_asked_in_full(results):
    """Guessing is right once in 36, and no model of eight steps knows more than that."""
    assert results["chance"].sel(task="copy") == pytest.approx(1 / 36)
    accuracy = results["accuracy"].sel(task="copy")
    assert np.isfinite(accuracy).all() and (accuracy <= 0.5).all()
    loss = results["loss"].sel(task="copy")
    np.testing.assert_allclose(loss.isel(step=0), 2 * np.log(200), rtol=0.1)  # of two tokens


def test_an_architecture_puts_axes_before_its_matrices(study):
    """Two experts [2, D, 2, M / 2] and back; nobody has said that their router is a matrix."""
    family = study.run.setting.family
    assert family.matrix("layers.gate_up", 5).sides((1, 2, 8, 2, 6)) == (8, 6)
    assert family.matrix("layers.down", 4).sides((1, 2, 6, 8)) == (6, 8)
    assert family.matrix("layers.router", 3) is None


def test_an_architecture_adds_to_the_loss_and_is_recorded(results):
    """A router's balance is trained on, of no task; its shares are written down by layer."""
    share = results["expert_share"].isel(step=-1)
    assert share.dims[-2:] == ("layer", "expert")
    np.testing.assert_allclose(share.sum("expert"), 1, rtol=1e-5)
    balance, total = (results[name].isel(step=-1) for name in ("balance", "train_loss"))
    assert (balance > 0).all() and np.isfinite(total).all()


def test_an_instrument_measures_and_a_claim_is_judged_on_it(workdir, results):
    further = results["distance"].isel(step=-1)
    assert (further > 0).all()
    [verdict] = json.loads((workdir / "claims.json").read_text())
    assert verdict["statement"] == "A larger model's weights go further."
    difference = (further.isel(size=-1) - further.isel(size=0)).mean()
    assert verdict["estimate"] == pytest.approx(float(difference), rel=1e-5)


def test_a_rule_is_part_of_the_recipe(study, workdir):
    about = read_manifest(next((workdir / "runs").iterdir()))
    recipe = about.recipe
    assert recipe["rule"] == {"kind": "slowed"}
    assert recipe["exposure"] == {"placement": "doubling", "first": 2}
    assert recipe["setting"]["architecture"] == {"kind": "experts"}
    assert stored_study(workdir) == study


def test_a_workdir_is_read_back_with_the_file_named(workdir):
    """A report of another process needs it, and says so in one line."""
    command = [sys.executable, "-m", "launch.report", f"--workdir={workdir}"]
    asked = {"cwd": OWN.parent.parent, "capture_output": True, "text": True}
    alone = subprocess.run(command, **asked)
    assert alone.returncode == 2
    assert len(alone.stderr.splitlines()) == 1
    assert "if a file of yours adds it, name that file: --extensions=FILE.py" in alone.stderr
    named = subprocess.run([*command, f"--extensions={OWN}"], **asked)
    assert named.returncode == 0, named.stderr
    assert "A larger model's weights go further." in named.stdout


def test_a_kind_that_nothing_has_added_is_refused(study):
    from rare_retention.config import override

    with pytest.raises(ConfigError, match=r"run.rule.kind: expected .*'slowed'.*, got 'slow'"):
        override(study, {"run.rule.kind": "slow"})


@SETTINGS.add
@config
class Steady(Competition):
    """Neurons that are also held near the middle of their plane, by a loss of no task."""

    kind: Literal["steady"] = "steady"

    @cached_property
    def objective(self):
        own = super().objective
        fields = {name: getattr(own, name) for name in own.__dataclass_fields__}
        return Held(**fields)


@dataclass(frozen=True, kw_only=True)
class Held(Alignments):
    @property
    def recorded(self):
        return {"spread": Quantity((), "rad^2", "30 times the mean square distance")}

    def losses(self, model, inputs):
        spread = 30 * jnp.square(model.angle[...] - jnp.pi / 4).mean()
        return super().losses(model, inputs)._replace(apart={"spread": spread})


def test_a_setting_can_be_added_too(tmp_path):
    """With a family that there is, and an objective of its own whose part of no task is trained."""
    run = Run(setting=Steady(neurons=(1, 2)), optimizer=Optimizer(peak=0.1), batch=8, steps=100)
    run = dataclasses.replace(run, measure=Measurement(every=10))
    assert from_dict(Run, to_dict(run)) == run
    train(run, epath.Path(tmp_path))
    values = metrics.read(epath.Path(tmp_path))
    assert (values["spread"][-1] < 0.3).all()  # a tenth of a radian
