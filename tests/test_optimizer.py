"""What an optimizer may be, and the rates of sizes."""

import numpy as np
import pytest
import tiny

from rare_retention.errors import ConfigError
from rare_retention.optimizer import Optimizer, olmo


def test_each_size_has_its_own_peak():
    """Factors from small to large, whatever number of students a size has."""
    groups = ["a", "a", "b", "b", "c"]
    plain = Optimizer(peak=0.1).rates(groups)
    assert plain == dict.fromkeys("abc", np.float32(0.1))
    config = Optimizer(peak=0.1, relative=(1.0, 0.5, 3.0))
    expected = {"a": 0.1, "b": 0.05, "c": 0.3}
    found = config.rates(groups)
    assert list(found) == list(expected)
    np.testing.assert_allclose(list(found.values()), list(expected.values()), rtol=1e-7)
    assert config.form == Optimizer(peak=7.0).form != Optimizer(epsilon=1e-5).form
    with pytest.raises(ConfigError, match=r"optimizer.relative: expected a factor for each of 2 s"):
        config.rates(["a", "b"])


def test_olmo_scales_its_recipe_to_the_run():
    """210B tokens in 50,000 steps: 10.5B of warm-up, five times the norm over 2.1B."""
    config = olmo(50_000)
    assert (config.warmup, config.clip_warmup) == (50_000 * 10.5 // 210, 50_000 * 2.1 // 210)
    expected = Optimizer(
        peak=3e-4,
        schedule="cosine",
        horizon=50_000,
        final=0.1,
        warmup=2500,
        warmup_from=0.1,
        ahead=1,
        weight_decay=0.1,
        beta1=0.9,
        beta2=0.95,
        epsilon=1e-5,
        clip=1.0,
        clip_warmup=500,
        clip_factor=5.0,
        clip_behind=1,
    )
    assert config == expected
    assert (olmo(1).warmup, olmo(1).horizon, olmo(1).clip_warmup) == (0, 1, 0)
    assert olmo(100, peak=1e-3).peak == 1e-3
    zero = olmo(100, from_zero=True)
    assert (zero.warmup_from, zero.ahead, zero.clip_behind) == (0, 0, 0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"peak": 0.0}, "peak: expected a positive number"),
        ({"timescale": -1.0}, "timescale: expected a positive number"),
        ({"epsilon": 0.0}, "epsilon: expected a positive number"),
        ({"clip": 0.0}, "clip: expected a positive number"),
        ({"warmup": -1}, "warmup: expected at least 0"),
        ({"weight_decay": -0.1}, "weight_decay: expected at least 0"),
        ({"beta1": 1.0}, "beta1: expected below 1, got"),
        ({"beta2": -0.1}, "beta2: expected at least 0, got"),
        ({"method": "adam"}, "method"),
        ({"method": "muon", "momentum": 1.0}, "momentum: expected below 1, got"),
        ({"method": "muon", "newton_schulz": 0}, "newton_schulz: expected at least 1"),
        ({"method": "muon", "update_rms": 0.0}, "update_rms: expected a positive number"),
        ({"method": "muon", "adam_factor": 0.0}, "adam_factor: expected a positive number"),
        (
            {"momentum": 0.9},
            r"momentum: Muon alone reads it; expected its default 0.95 with method = 'adamw', got "
            r"0.9; leave it out, or set method='muon'",
        ),
        ({"method": "sgd", "update_rms": None}, "update_rms: Muon alone reads it; expected .* 0.2"),
        ({"nesterov": False}, "nesterov: Muon alone"),
        ({"newton_schulz": 4}, "newton_schulz: Muon alone"),
        ({"adam_factor": 0.5}, "adam_factor: Muon alone"),
        ({"schedule": "cosine"}, r"horizon: a cosine needs the step at which it ends, .* got 0"),
        ({"schedule": "cosine", "horizon": 5, "warmup": 5}, "beyond warmup = 5; got 5"),
        ({"final": -0.1}, "final: expected at least 0"),
        ({"clip_warmup": -1}, "clip_warmup: expected at least 0"),
        ({"clip_factor": 0.0}, "clip_factor: expected a positive number"),
    ],
)
def test_what_cannot_be_is_refused(values, message):
    """One line each, which names the field."""
    with pytest.raises(ConfigError, match=message) as error:
        Optimizer(**values)
    assert "\n" not in str(error.value)


def test_runs_from_before_muon_are_what_they_were():
    """Its fields at their defaults are no part of a recipe; others are."""
    plain, muon = (tiny.run(optimizer__method=method) for method in ("adamw", "muon"))
    assert plain.identity() == "be576a757ea30bbc"  # fingerprint of this recipe before
    assert plain.recipe()["optimizer"].keys() == muon.recipe()["optimizer"].keys()
    others = [
        tiny.run(optimizer__method="muon", **{f"optimizer__{name}": value})
        for name, value in {
            "momentum": 0.9,
            "nesterov": False,
            "newton_schulz": 6,
            "update_rms": None,
            "adam_factor": 0.5,
        }.items()
    ]
    assert len({run.identity() for run in (plain, muon, *others)}) == 7
    assert len({run.optimizer.form for run in (plain, muon, *others)}) == 7
