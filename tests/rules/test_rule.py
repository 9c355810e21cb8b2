"""The slot for a gradient rule: what a rule is given, and that nothing changes without one."""

import dataclasses
from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
import tiny_text
from etils import epath

from rare_retention.config import config
from rare_retention.mesh import MeshShape
from rare_retention.record import metrics
from rare_retention.record.checkpoints import verify
from rare_retention.record.records import RESUME
from rare_retention.rules import RULES
from rare_retention.rules.rule import Rule
from rare_retention.train.loop import train


@config
class Nothing(Rule):
    """Hands on what it is given."""

    kind: Literal["nothing"] = "nothing"


@config
class NothingWhole(Nothing):
    """And asks for no parts."""

    by_part: ClassVar[bool] = False


@config
class Diary(Rule):
    """Freezes all weights while the first watched task is away, and writes down the phase."""

    kind: Literal["diary"] = "diary"

    def start(self, traced, params):
        return {g: jnp.full((len(jax.tree.leaves(p)[0]), 32), -9) for g, p in params.items()}

    def update(self, updates, step):
        return jax.tree.map(lambda leaf: jnp.where(step.phase.shown[0], leaf, 0.0), updates)

    def carry(self, updates, step):
        def write(pages):
            return jnp.roll(pages, -1, 1).at[:, -1].set(step.phase.since[0])

        return {group: write(pages) for group, pages in step.carried.items()}


@pytest.fixture(autouse=True)
def known(monkeypatch):
    monkeypatch.setattr(RULES, "_classes", dict(RULES._classes))
    RULES.add(Nothing)
    RULES.add(Diary)
    yield
    monkeypatch.undo()


def ended(run, folder):
    """What was measured, and the whole state at the end."""
    folder = epath.Path(folder)
    steps = train(run, folder)
    return metrics.read(folder), verify(folder / RESUME, steps)


@pytest.mark.parametrize("rule", [Nothing(), NothingWhole()], ids=["parts", "whole"])
def test_a_rule_that_sums_the_parts_trains_the_same_models(rule, tmp_path):
    """Up to rounding where the gradient is put together from its parts, else to the same bits."""
    run = tiny.run(steps=16)
    _, plain = ended(run, tmp_path / "plain")
    _, ruled = ended(dataclasses.replace(run, rule=rule), tmp_path / "ruled")
    assert plain["rule"] in (None, {}) and ruled["rule"]["since"].tolist() == [0]
    for a, b in zip(*map(jax.tree.leaves, (plain["params"], ruled["params"])), strict=True):
        if rule.by_part:
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
        else:
            np.testing.assert_array_equal(a, b)


def test_a_rule_is_part_of_what_a_run_is():
    run = tiny.run()
    assert "rule" not in run.recipe()
    ruled = dataclasses.replace(run, rule=Nothing())
    assert ruled.recipe()["rule"] == {"kind": "nothing"} and ruled.identity() != run.identity()


def test_phases_are_those_of_the_schedule_and_survive_a_stop(tmp_path):
    """Bursts at steps 7, 15, 23: frozen in between, counted from each."""
    run = dataclasses.replace(tiny.run(steps=24, checkpoints__every=12), rule=Diary())
    values, state = ended(run, tmp_path / "whole")
    stopped = dataclasses.replace(run, steps=12)
    ended(stopped, tmp_path / "half")
    again = ended(run, tmp_path / "half")[1]
    for a, b in zip(*map(jax.tree.leaves, (state, again)), strict=True):
        np.testing.assert_array_equal(a, b)
    for pages in state["rule"]["carried"].values():
        expected = [-1] * 7 + [t % 8 for t in range(17)]
        np.testing.assert_array_equal(pages, [[-9] * 8 + expected] * 2)
    at = {int(step): losses for step, losses in zip(values["step"], values["loss"], strict=True)}
    assert np.all(at[7] == at[0]) and np.all(at[15] == at[8]) and np.any(at[8] != at[7])


def test_parts_add_up_under_a_mesh_and_in_pieces(tmp_path):
    """A language model on eight devices, its batch in two pieces, as on one in one piece."""
    setting = tiny_text.language(sizes=("1x8x16x2",), watch=(1,))
    run = dataclasses.replace(tiny_text.run(setting, steps=2), rule=Nothing())
    cut = dataclasses.replace(run, accumulate=2, mesh=MeshShape(data=2, fsdp=2, model=2))
    one, other = (ended(r, tmp_path / n)[0] for r, n in ((run, "one"), (cut, "cut")))
    np.testing.assert_allclose(one["loss"], other["loss"], rtol=1e-4)
