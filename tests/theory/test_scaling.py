"""The closed forms of a scaling law against numeric minimisation and worked examples."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq, minimize_scalar

from rare_retention.theory.scaling import ScalingLaw, compute, decide

LAWS = st.builds(
    ScalingLaw,
    l0=st.floats(0, 4),
    a=st.floats(0.1, 1e3),
    alpha=st.floats(0.1, 1.2),
    b=st.floats(0.1, 1e3),
    beta=st.floats(0.1, 1.2),
)
SIZES = st.floats(1e3, 1e9)


def best_size(law, flops):
    """Log of the size of least loss at a fixed compute, by golden section in log N.

    L0 moves no minimum; without it none drowns in rounding.
    """
    law = replace(law, l0=0.0)
    found = minimize_scalar(
        lambda x: float(law.loss(np.exp(x), flops / (6 * np.exp(x)))),
        bounds=(-60, 120),
        method="bounded",
        options={"xatol": 1e-10},
    )
    return found.x


@settings(deadline=None, max_examples=100)
@given(LAWS, st.floats(1e10, 1e24))
def test_the_frontier_is_where_the_loss_at_fixed_compute_is_least(law, flops):
    sizes, tokens = law.frontier(flops)
    np.testing.assert_allclose(compute(sizes, tokens), flops, rtol=1e-12)
    assert best_size(law, flops) == pytest.approx(float(np.log(sizes)), abs=1e-4)


@settings(deadline=None, max_examples=100)
@given(LAWS, SIZES)
def test_a_size_meets_the_frontier_at_its_optimal_tokens(law, size):
    tokens = law.optimal_tokens(size)
    np.testing.assert_allclose(law.frontier(compute(size, tokens)), (size, tokens), rtol=1e-9)
    np.testing.assert_allclose(law.compute_optimal_loss(size), law.loss(size, tokens), rtol=1e-12)


@settings(deadline=None, max_examples=100)
@given(LAWS, SIZES, st.floats(1.1, 100))
def test_both_limits_fall_with_the_same_exponent(law, size, factor):
    """gamma = alpha, read off the numeric optimum and not the closed form."""
    law, excess = replace(law, l0=0.0), []
    for n in (size, factor * size):
        flops = float(compute(n, law.optimal_tokens(n)))
        least = np.exp(best_size(law, flops))
        excess.append(float(law.loss(least, flops / (6 * least))))
    gamma = np.log(excess[0] / excess[1]) / np.log(factor)
    assert gamma == pytest.approx(law.alpha, rel=1e-6)


def test_the_loss_of_a_worked_example():
    """A / N^alpha = 8 / 2 and B / D^beta = 12 / 3 by hand; D -> infinity leaves the first."""
    law = ScalingLaw(1.0, 8.0, 0.5, 12.0, 0.5)
    assert law.loss(4, 9) == 9.0
    assert law.infinite_data_loss(4) == 5.0
    assert law.compute_optimal_loss(4) == 9.0  # twice the excess of L_inf, as alpha = beta
    assert law.optimal_tokens(4) == 9.0
    assert compute(4, 9) == 216
    np.testing.assert_allclose(law.frontier(216.0), (4, 9))
    assert law.loss(np.array([[4.0], [16.0]]), np.array([9.0, 36.0])).shape == (2, 2)


def test_pairs_of_sizes_by_hand():
    """With alpha = beta = 1/2 and L0 = 0, L_inf = 8 / sqrt N and L_C = 16 / sqrt N."""
    law = ScalingLaw(0.0, 8.0, 0.5, 12.0, 0.5)
    # L_C: 8 at N = 4, 4 at 16, 2 at 64; L_inf: 4 at N = 4, 2 at 16.
    assert law.gain(4, 16) == 4.0 and law.gain(4, 64) == 6.0
    assert law.shortfall(4, 64) == 2.0 and law.shortfall(9, 16) == pytest.approx(8 / 3 - 4)
    assert law.learnability(9, 16) == "data scaling"
    assert law.learnability(4, 64) == "model scaling"
    assert law.learnability(4, 64, epsilon=1.9) == "model scaling"
    assert law.learnability(4, 64, epsilon=2.1) == "undecided"
    assert law.learnability(4, 16) == "undecided"  # L_inf(4) is exactly L_C(16)
    assert law.largest_outscaled(64) == 16.0
    assert law.largest_outscaled(64, epsilon=2.0) == 4.0


@settings(deadline=None, max_examples=100)
@given(LAWS, SIZES, st.floats(0, 1))
def test_the_largest_outscaled_size_solves_its_equation(law, large, share):
    epsilon = share * (law.a - (float(law.compute_optimal_loss(large)) - law.l0))
    if epsilon < 0:  # a model of one parameter is no worse
        return
    found = float(law.largest_outscaled(large, epsilon))
    root = brentq(lambda x: law.shortfall(np.exp(x), large) - epsilon, -1, np.log(large))
    # The root is found in losses of 2 nats, of which a large model differs by 1e-10.
    assert np.log(found) == pytest.approx(root, abs=1e-4)
    assert found < large
    assert law.shortfall(0.5 * found, large) > epsilon > law.shortfall(2 * found, large)


@pytest.mark.parametrize(
    ("gain", "shortfall", "epsilon", "verdict"),
    [
        ((0.1, 0.3), (-0.4, -0.1), 0.0, "data scaling"),
        ((0.1, 0.3), (0.1, 0.2), 0.0, "model scaling"),
        ((0.1, 0.3), (0.1, 0.2), 0.15, "undecided"),
        ((0.1, 0.3), (-0.1, 0.1), 0.0, "undecided"),
        ((-0.1, 0.3), (-0.4, -0.1), 0.0, "undecided"),
    ],
)
def test_a_verdict_needs_both_ends_on_one_side(gain, shortfall, epsilon, verdict):
    assert decide(gain, shortfall, epsilon) == verdict


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ScalingLaw(-0.1, 1, 1, 1, 1), "L0 >= 0"),
        (lambda: ScalingLaw(0, 1, 0, 1, 1), "alpha, B, beta > 0"),
        (lambda: ScalingLaw(0, 1, 1, float("inf"), 1), "expected finite"),
        (lambda: ScalingLaw(1, 1, 1, 1, 1).loss(0, 1), "parameters must be above 0"),
        (lambda: ScalingLaw(1, 1, 1, 1, 1).loss(1, float("nan")), "tokens must be above 0"),
        (lambda: ScalingLaw(1, 1, 1, 1, 1).frontier(-1), "flops must be above 0"),
        (lambda: ScalingLaw(1, 1, 1, 1, 1).largest_outscaled(2, -1), "epsilon must be a finite"),
    ],
)
def test_what_cannot_be_is_refused(call, message):
    with pytest.raises(ValueError, match=message) as error:
        call()
    assert "\n" not in str(error.value)
