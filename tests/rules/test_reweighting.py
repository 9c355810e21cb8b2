"""Re-weighting against training on weighted losses."""

import jax
import jax.numpy as jnp
import numpy as np
from tiny import blueprint, by_task

from rare_retention.optimizer import Optimizer
from rare_retention.rules.reweighting import Reweighting
from rare_retention.settings.competition import Competition
from rare_retention.settings.traced import traced_of
from rare_retention.train.state import Arguments, create
from rare_retention.train.step import Step


def test_a_step_is_one_on_the_weighted_losses():
    """Plain descent moves by the rate times the gradient of 2.5 times the watched task's loss."""
    setting = Competition(neurons=(1, 3), initialisations=2)
    traced, descent = traced_of(setting), Optimizer(method="sgd", schedule="constant", clip=None)
    own = blueprint(traced, descent)._replace(rule=Reweighting(factor=2.5))
    state = create(own, 0)
    rates = dict.fromkeys(state.params, np.float32(0.1))
    given = Arguments(jax.random.key(0), np.uint32(0), rates, setting.numbers(0))
    rows = jnp.array([0, 1, 0, 0])
    after = Step(own).run(state, given, rows[None], jnp.int32(1))

    def weighted(params):
        losses = by_task(traced)(params, rows, given.key, given.numbers)
        return sum((loss * jnp.array([[1.0, 2.5]])).sum() for loss in losses.values())

    gradient = jax.grad(weighted)(state.params)
    for group, stack in state.params.items():
        expected = stack["angle"] - 0.1 * gradient[group]["angle"]
        np.testing.assert_allclose(after.params[group]["angle"], expected, rtol=1e-5)
