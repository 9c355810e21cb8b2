"""The first-order effect of updates against finite differences, in a run of several steps."""

import jax
import jax.numpy as jnp
import numpy as np

from rare_retention.instruments.effect import Effect
from rare_retention.instruments.instrument import Moment
from rare_retention.settings.competition import Competition
from rare_retention.settings.traced import traced_of

SETTING = Competition(neurons=(1, 3), initialisations=2, watch=(1, 0))


def test_effects_add_up_to_the_derivative_along_the_updates():
    """In float32 the difference quotient at a thousandth agrees to three digits."""
    traced, numbers = traced_of(SETTING), SETTING.numbers(0)
    params = traced.family.init(0)
    updates = jax.tree.map(lambda leaf: 0.1 * jnp.cos(7 * leaf), params)
    moment = Moment(traced, numbers, params, {}, updates, lambda function: None)
    effect = Effect()
    followed = effect.start(traced, params)
    assert {g: v.shape for g, v in followed.items()} == dict.fromkeys(params, (2, 2))
    once = effect.follow(followed, moment)
    found = effect.read(effect.follow(once, moment), moment)["predicted_change"]

    def moved(by):
        there = jax.tree.map(lambda leaf, step: leaf + by * step, params, updates)
        return traced.reference(there, numbers)

    for group, values in found.items():
        slope = (moved(1e-3)[group] - moved(-1e-3)[group]) / 2e-3
        np.testing.assert_allclose(values, 2 * slope, rtol=2e-3, atol=1e-4)
        np.testing.assert_allclose(values, 2 * once[group], rtol=1e-6)


def test_it_says_what_it_measures():
    quantity = Effect().quantities(SETTING)["predicted_change"]
    assert quantity.dims == ("watch",) and quantity.unit == "1"
