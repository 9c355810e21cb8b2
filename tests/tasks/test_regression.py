"""The mixture of regressions: prior, spectra and targets."""

import numpy as np
import pytest

from rare_retention.errors import ConfigError
from rare_retention.tasks.regression import RegressionTasks


def test_defaults_are_the_papers():
    """D = 1024, K = 32 blocks of 32, pi_k ~ 1/k and lambda_j = j^-2 for every task."""
    tasks = RegressionTasks()
    harmonic = sum(1 / k for k in range(1, 33))
    expected = [1 / k / harmonic for k in range(1, 33)]
    np.testing.assert_allclose(tasks.frequencies(), expected, rtol=1e-12)
    assert tasks.frequencies().dtype == tasks.spectra().dtype == np.float64
    assert (tasks.inputs, tasks.spectra().shape) == (1024, (32, 32))
    for spectrum in tasks.spectra():
        np.testing.assert_allclose(spectrum, [j**-2.0 for j in range(1, 33)], rtol=1e-12)


def test_a_given_prior_replaces_the_power_law():
    """It is scaled to a sum of one exactly."""
    tasks = RegressionTasks(inputs=8, count=2, block=2, prior=(0.9, 0.1000005))
    np.testing.assert_allclose(tasks.frequencies(), np.array([0.9, 0.1000005]) / 1.0000005)
    assert tasks.frequencies().sum() == pytest.approx(1, abs=1e-15)


def test_complexity_grows_linearly_towards_the_rare_tasks():
    """The most frequent task has the steepest spectrum, the simplest task (Fig. 12)."""
    tasks = RegressionTasks(inputs=40, count=5, block=8, spectrum_exponents=(1.0, 3.0))
    np.testing.assert_allclose(tasks.exponents(), [3, 2.5, 2, 1.5, 1])
    np.testing.assert_allclose(tasks.spectra()[1], np.arange(1, 9) ** -2.5)
    energy = tasks.spectra().cumsum(1) / tasks.spectra().sum(1, keepdims=True)
    assert np.all(np.diff((energy < 0.9).sum(1)) >= 0)
    single = RegressionTasks(inputs=4, count=1, block=4, spectrum_exponents=(2.0, 2.0))
    np.testing.assert_allclose(single.exponents(), [2])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"inputs": 0}, "inputs: expected at least 1"),
        ({"count": 0}, "count: expected at least 1"),
        ({"block": -2}, "block: expected at least 1"),
        ({"inputs": 100, "count": 32, "block": 4}, "use a block of at most 3"),
        ({"spectrum_exponents": (-0.5, 2.0)}, r"spectrum_exponents\[0\]: expected at least 0"),
        ({"count": 2, "prior": (1.0,)}, "one frequency for each of 2 tasks, got 1"),
        ({"count": 2, "prior": (1.1, -0.1)}, "expected frequencies from 0 to 1"),
        ({"count": 2, "prior": (0.7, 0.2)}, r"sum of 1, got 0.9; nearest: \(0.777778, 0.222222\)"),
        ({"count": 9, "block": 1, "prior": (0.1,) * 9}, "each divided by the sum"),
        ({"count": 2, "prior": (0.4, 0.6)}, "most frequent task first"),
    ],
)
def test_what_cannot_be_is_refused(values, message):
    """One line each, which names the field."""
    with pytest.raises(ConfigError, match=message) as error:
        RegressionTasks(**values)
    assert "\n" not in str(error.value)
