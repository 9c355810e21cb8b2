"""A run that goes on from the state of another under something else, by itself."""

import numpy as np
import pytest
import tiny
from etils import epath

from rare_retention.errors import ConfigError, UserError
from rare_retention.record import metrics
from rare_retention.record.manifest import read_manifest
from rare_retention.record.records import RESUME, STATES
from rare_retention.train.branching import going_on
from rare_retention.train.loop import train


@pytest.fixture(scope="module")
def parent(tmp_path_factory):
    """A finished run that has kept the states after 20 steps and, to resume, after 32 and 48."""
    folder = epath.Path(tmp_path_factory.mktemp("parent"))
    train(tiny.run(snapshots__states="(20,)"), folder)
    return folder


@pytest.mark.parametrize(("step", "root"), [(20, STATES), (32, RESUME)])
def test_it_goes_on_under_another_rate_with_an_identity_of_its_own(parent, tmp_path, step, root):
    wanted = tiny.run(optimizer__peak=1e-5)
    origin, run = going_on(wanted, parent, step)
    assert origin.root == root and run.start == step
    assert run.turns[0].changed == ("optimizer.peak: 0.014 -> 1e-05",)
    assert len({own.identity() for own in (run, wanted, origin.run)}) == 3
    assert train(run, epath.Path(tmp_path), parent=origin) == 48
    found, before = metrics.read(epath.Path(tmp_path)), metrics.read(parent)
    assert found["step"][0] == step
    at = before["step"].tolist().index(step)
    np.testing.assert_allclose(found["loss"][0], before["loss"][at], rtol=1e-6)
    assert not np.allclose(found["loss"][-1], before["loss"][-1])
    shown = read_manifest(epath.Path(tmp_path)).shown
    assert shown == read_manifest(parent).shown  # the same batches, its parent's included


def test_unchanged_it_ends_where_its_parent_does(parent, tmp_path):
    origin, run = going_on(tiny.run(), parent, 32)
    train(run, epath.Path(tmp_path), parent=origin)
    found, before = metrics.read(epath.Path(tmp_path)), metrics.read(parent)
    np.testing.assert_array_equal(found["loss"][-1], before["loss"][-1])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"setting__widths": "(2, 9)"}, "run.setting.widths: a branch has the models of its par"),
        ({"stream": 3}, "run.stream: 3, the parent's is 0; leave it as it is there"),
        ({"steps": 20}, "run.steps: 20 are reached at step 20 already; expected more"),
    ],
)
def test_other_models_or_batches_are_refused(parent, changes, message):
    with pytest.raises(ConfigError, match=message.replace("(", r"\(")):
        going_on(tiny.run(**changes), parent, 20)


def test_a_state_that_is_not_kept_is_refused_unless_the_branch_has_begun(parent, tmp_path):
    with pytest.raises(UserError, match=r"--from=16: .* no whole state of that step; "):
        going_on(tiny.run(), parent, 16)
    with pytest.raises(UserError, match=r"expected one of 20, 32, 48$"):
        going_on(tiny.run(), parent, 16)
    assert going_on(tiny.run(), parent, 16, begun=True)[0].root == RESUME
    with pytest.raises(UserError, match=r"holds no run; expected a folder with config\.json"):
        going_on(tiny.run(), epath.Path(tmp_path), 16)
