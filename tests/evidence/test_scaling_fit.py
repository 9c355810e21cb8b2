"""Laws fitted to points of a planted one, and the verdicts that follow."""

import json
from dataclasses import replace

import made_scaling as made
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rare_retention.errors import UserError
from rare_retention.evidence import scaling_fit
from rare_retention.evidence.scaling_points import Points
from rare_retention.theory.scaling import ScalingLaw, compute

SIZES = np.array([1e6, 4e6, 16e6, 64e6])
TOKENS = np.array([1e8, 4e8, 16e8, 64e8])


def points(law=made.LAW, sizes=SIZES, tokens=TOKENS, streams=1, noise=0.0, shared=0.0, seed=0):
    """Losses of a law at all sizes and tokens, with noise of its own and noise of the stream."""
    rng = np.random.default_rng(seed)
    n, d = (axis.ravel() for axis in np.meshgrid(sizes, tokens))
    n, d, stream = np.tile(n, streams), np.tile(d, streams), np.repeat(np.arange(streams), len(n))
    wobble = noise * rng.standard_normal(len(n)) + shared * rng.standard_normal(streams)[stream]
    return Points("text", 0, "", n, d, law.loss(n, d) * np.exp(wobble), stream, np.arange(len(n)))


def values(law):
    return np.array([law.l0, law.a, law.alpha, law.b, law.beta])


@settings(deadline=None, max_examples=10)
@given(st.floats(0.5, 4), st.floats(0.2, 0.7), st.floats(0.2, 0.7))
def test_a_law_without_noise_is_found_again(l0, alpha, beta):
    """Terms of about a nat at the centre of the points, whatever the exponents."""
    planted = ScalingLaw(l0, 8e6**alpha, alpha, 8e8**beta, beta)
    fitted = scaling_fit.fit(points(planted), draws=2)
    np.testing.assert_allclose(values(fitted.law), values(planted), rtol=2e-2)
    assert fitted.law.alpha == pytest.approx(alpha, rel=1e-3)
    assert fitted.scatter < 1e-5


@pytest.mark.parametrize("streams", [1, 3])
def test_a_noisy_law_is_found_within_its_intervals(streams):
    fitted = scaling_fit.fit(points(streams=streams, noise=0.005, seed=3))
    low, high = fitted.interval(values)[1:]
    assert np.all((low < values(made.LAW)) & (values(made.LAW) < high))
    assert np.all(high - low < [1.0, 700, 0.1, 1500, 0.15])
    assert fitted.scatter == pytest.approx(0.005, rel=0.4)
    assert fitted.covers == ("runs" if streams == 1 else "streams and runs")


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    """L_inf(1M) - L_C(4M) in 20 experiments: a 95% interval of so few points holds it in 80% up."""
    truth, ranges = made.LAW.shortfall(1e6, 4e6), []
    for seed in range(20):
        fitted = scaling_fit.fit(points(streams=2, noise=0.004, shared=0.002, seed=seed), draws=30)
        ranges.append(fitted.interval(lambda law: law.shortfall(1e6, 4e6)))
    estimate, low, high = np.transpose(ranges)
    assert np.sum((low < truth) & (truth < high)) >= 16
    assert 2 < np.mean(high - low) / estimate.std() < 7  # 3.9 by the normal distribution


def test_noise_that_a_stream_shares_widens_the_interval_of_the_level():
    own, shared = (
        scaling_fit.fit(points(streams=4, noise=0.003, shared=s, seed=1), draws=50)
        for s in (0.0, 0.03)
    )
    width = [
        np.subtract(*fit.interval(lambda law: law.loss(4e6, 4e8))[:0:-1]) for fit in (own, shared)
    ]
    assert width[1] > 4 * width[0]


def test_an_outlier_moves_the_law_little():
    clean, spoilt = points(noise=0.002), points(noise=0.002)
    spoilt.loss[5] *= 1.5
    laws = [scaling_fit.fit(one, draws=2).law for one in (clean, spoilt)]
    change = laws[1].loss(SIZES, TOKENS) / laws[0].loss(SIZES, TOKENS)
    np.testing.assert_allclose(change, 1, atol=0.02)


def test_points_of_one_run_count_as_one_unit():
    """Four states of a run that share its noise say less than four runs."""
    alone = points(noise=0.01, seed=2)
    n = np.repeat(alone.parameters, 4)
    d = (alone.tokens[:, None] * [0.7, 0.8, 0.9, 1.0]).ravel()
    wobble = np.repeat(np.log(alone.loss / made.LAW.loss(alone.parameters, alone.tokens)), 4)
    states = replace(
        alone,
        parameters=n,
        tokens=d,
        loss=made.LAW.loss(n, d) * np.exp(wobble),
        stream=np.zeros(len(n), int),
        run=np.repeat(alone.run, 4),
    )
    apart = replace(states, run=np.arange(len(n)))
    width = [
        np.subtract(*scaling_fit.fit(one, draws=50).interval(lambda law: law.loss(4e6, 4e8))[:0:-1])
        for one in (states, apart)
    ]
    assert width[0] > 1.3 * width[1]


def test_the_bootstrap_is_the_same_each_time():
    first, second = (scaling_fit.fit(points(noise=0.01), draws=5) for _ in range(2))
    assert first.draws == second.draws
    assert scaling_fit.fit(points(noise=0.01), draws=5, seed=1).draws != first.draws


def known(law, spread):
    """A fit whose bootstrap varies A by a relative spread."""
    draws = tuple(replace(law, a=law.a * (1 + x)) for x in np.linspace(-spread, spread, 11))
    return scaling_fit.Fit(points(law), law, draws, "runs", 0.0)


def test_verdicts_on_a_law_made_by_hand():
    """With alpha = beta = 1/2 a size is out of reach from four times itself on."""
    law = ScalingLaw(0.0, 8000.0, 0.5, 12000.0, 0.5)
    fitted = known(law, 0.1)
    found = {(pair.small, pair.large): pair for pair in scaling_fit.pairs(fitted)}
    assert len(found) == 6
    assert found[1e6, 4e6].verdict == "undecided"  # L_inf(1M) is exactly L_C(4M)
    assert found[1e6, 16e6].verdict == "model scaling"
    assert found[1e6, 16e6].shortfall.estimate == pytest.approx(8 - 4)
    assert found[1e6, 16e6].gain.estimate == pytest.approx(16 - 4)
    assert found[1e6, 16e6].shortfall.low == pytest.approx(4 * 0.905)
    margin = {(pair.small, pair.large): pair.verdict for pair in scaling_fit.pairs(fitted, 3.7)}
    assert margin[1e6, 16e6] == "undecided" and margin[1e6, 64e6] == "model scaling"
    close = scaling_fit.pairs(
        known(replace(law, beta=0.05), 0.1)
    )  # L_C = 11 times L_inf: data helps
    assert {pair.verdict for pair in close} == {"data scaling"}


def test_a_wide_interval_leaves_a_pair_undecided():
    law = ScalingLaw(0.0, 8000.0, 0.5, 12000.0, 0.5)
    draws = tuple(replace(law, beta=beta) for beta in np.linspace(0.1, 0.9, 11))
    fitted = scaling_fit.Fit(points(law), law, draws, "runs", 0.0)
    assert scaling_fit.pairs(fitted)[1].verdict == "undecided"
    with pytest.raises(ValueError, match="epsilon must be"):
        scaling_fit.pairs(fitted, -1.0)


def test_a_summary_is_json_and_marks_what_was_not_measured():
    fitted = scaling_fit.fit(points(noise=0.003))
    found = json.loads(json.dumps(scaling_fit.summary(fitted, 0.1)))
    assert set(found["law"]) == {"l0", "a", "alpha", "b", "beta"}
    assert found["law"]["alpha"]["estimate"] == fitted.law.alpha
    assert len(found["sizes"]) == 4 and len(found["pairs"]) == 6
    last = found["sizes"][-1]
    assert last["infinite_data_loss"]["low"] < last["infinite_data_loss"]["high"]
    assert last["largest_outscaled"]["estimate"] == fitted.law.largest_outscaled(64e6, 0.1)
    for row in found["frontier"]:
        size, tokens = row["parameters"]["estimate"], row["tokens"]["estimate"]
        np.testing.assert_allclose(compute(size, tokens), row["compute"])
        assert row["extrapolated"] == (not (1e6 <= size <= 64e6 and 1e8 <= tokens <= 64e8))
    assert {row["extrapolated"] for row in found["frontier"]} == {True, False}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sizes": SIZES[:2]}, "at least 6 points, 3 sizes, 3 token counts, got 8 points, 2 sizes"),
        ({"tokens": TOKENS[:1]}, "got 4 points, 4 sizes, 1 token counts"),
        ({"tokens": TOKENS[:2]}, "got 8 points, 4 sizes, 2 token counts"),
    ],
)
def test_too_few_points_are_refused(change, message):
    with pytest.raises(UserError, match=message) as caught:
        scaling_fit.fit(points(**change))
    assert str(caught.value).startswith("text: ") and "\n" not in str(caught.value)


def test_points_that_determine_no_law_are_refused():
    good = points()
    together = points(sizes=np.geomspace(1e6, 1e8, 6), tokens=[1.0])
    together = replace(together, tokens=20 * together.parameters)
    with pytest.raises(UserError, match="sizes and tokens vary together"):
        scaling_fit.fit(together)
    with pytest.raises(UserError, match=r"all losses are 0\.7: no law shows"):
        scaling_fit.fit(replace(good, loss=np.full_like(good.loss, 0.7)))
    with pytest.raises(UserError, match="losses above 0, got 0"):
        scaling_fit.fit(replace(good, loss=good.loss - good.loss.min()))


@pytest.mark.parametrize("noise", [1e-4, 0.02])
@pytest.mark.parametrize("seed", range(4))
def test_a_task_that_no_size_learns_has_no_law(noise, seed):
    """Losses of guessing between two labels, within noise."""
    flat = points(noise=noise, seed=seed)
    guessed = replace(
        flat, loss=np.log(2) * flat.loss / made.LAW.loss(flat.parameters, flat.tokens)
    )
    with pytest.raises(UserError, match=r"text: neither size nor data lowers its loss of 0\.6[89]"):
        scaling_fit.fit(guessed, draws=2)


@pytest.mark.parametrize("alone", ["size", "data"])
def test_what_only_sizes_or_only_data_lower_determines_no_law(alone):
    law = made.LAW
    kept = replace(law, b=1e-300) if alone == "size" else replace(law, a=1e-300)
    other = "data does" if alone == "size" else "size does"
    with pytest.raises(UserError, match=f"do(es)? not determine (what the {other}|a law)"):
        scaling_fit.fit(points(kept, noise=0.002, seed=1), draws=40)


@pytest.mark.parametrize("unit", [1e-12, 1e-6, 1e6, 1e12])
def test_tiny_and_huge_losses_are_fitted_as_others(unit):
    plain = points(noise=0.004, seed=2)
    scaled = replace(plain, loss=unit * plain.loss)
    a, b = (scaling_fit.fit(one, draws=20) for one in (plain, scaled))
    np.testing.assert_allclose(values(b.law) / [unit, unit, 1, unit, 1], values(a.law), rtol=1e-4)
    assert (
        scaling_fit.summary(b)["pairs"][0]["verdict"]
        == scaling_fit.summary(a)["pairs"][0]["verdict"]
    )
