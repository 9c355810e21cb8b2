"""Parts of a loss that belong to no task, and statistics that are recorded: trained and kept."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from tiny import blueprint

from rare_retention.instruments.gradients import Gradients
from rare_retention.optimizer import Optimizer
from rare_retention.settings.competition import Competition
from rare_retention.settings.competition_objective import Alignments
from rare_retention.settings.objective import Losses
from rare_retention.settings.quantity import Quantity
from rare_retention.settings.traced import Traced
from rare_retention.train.state import Arguments, create
from rare_retention.train.step import Step

SETTING = Competition(neurons=(1, 3), initialisations=2)
RATE, DESCENT = 0.1, Optimizer(method="sgd", schedule="constant", clip=None)


@dataclass(frozen=True, kw_only=True)
class Balanced(Alignments):
    """Neurons are kept near the middle, and the mean of their angles is recorded."""

    @property
    def recorded(self):
        return {
            "balance": Quantity((), "1", "mean square of the angles"),
            "mean_angle": Quantity((), "rad", "mean angle"),
        }

    def losses(self, model, inputs):
        angle = model.angle[...]
        apart = {"balance": jnp.square(angle).mean()}
        return Losses(super().losses(model, inputs).by_task, apart, {"mean_angle": angle.mean()})


OBJECTIVE = Balanced(tasks=2, watch_ids=(1,), rarest=1, most=3)
ROWS = jnp.array([[0, 0, 1, 0]])


def advanced(accumulate=1, tools=()):
    traced = Traced(SETTING.family, OBJECTIVE)
    own = blueprint(traced, DESCENT, accumulate=accumulate)._replace(instruments=tools)
    state = create(own, 0)
    rates = dict.fromkeys(state.params, np.float32(RATE))
    given = Arguments(jax.random.key(0), np.uint32(0), rates, SETTING.numbers(0))
    return state, *Step(own).advance(state, given, ROWS, jnp.int32(1))


def test_what_belongs_to_no_task_is_trained_on_and_recorded():
    """The update of plain descent is that of the whole loss; tasks keep their own losses."""
    before, after, values = advanced()
    angles = [leaf["angle"] for leaf in before.params.values()]
    balance = np.concatenate([np.square(a).mean(1) for a in angles])
    mean = np.concatenate([a.mean(1) for a in angles])
    np.testing.assert_allclose(values["balance"], balance, rtol=1e-5)
    np.testing.assert_allclose(values["mean_angle"], mean, rtol=1e-5)
    by_task = values["batch_loss"] @ jnp.array([0.75, 0.25])
    np.testing.assert_allclose(values["train_loss"], by_task + balance, rtol=1e-5)

    def total(params):
        losses = Traced(SETTING.family, OBJECTIVE).losses(params, ROWS[0], None, None)
        return sum(own.by_task.sum() + own.apart["balance"].sum() for own in losses.values())

    gradient = jax.grad(total)(before.params)
    for name, own in before.params.items():
        expected = own["angle"] - RATE * gradient[name]["angle"]
        np.testing.assert_allclose(after.params[name]["angle"], expected, rtol=1e-5)


def test_pieces_of_a_batch_have_its_mean():
    whole, pieces = (advanced(accumulate)[2] for accumulate in (1, 2))
    for name in ("balance", "mean_angle", "train_loss"):
        np.testing.assert_allclose(whole[name], pieces[name], rtol=1e-5, err_msg=name)


def test_compared_gradients_count_it_among_the_others():
    """Without it the others' gradient is another one."""
    gram = advanced(tools=(Gradients(),))[2]["gram"]
    before = advanced()[0]
    others = 1  # behind the one watched task

    def rest(params):
        losses = Traced(SETTING.family, OBJECTIVE).losses(params, ROWS[0], None, None)
        return sum(own.by_task[:, 0].sum() + own.apart["balance"].sum() for own in losses.values())

    gradient = jax.grad(rest)(before.params)
    squares = np.concatenate([np.square(own["angle"]).sum(1) for own in gradient.values()])
    np.testing.assert_allclose(gram[:, -1, others, others], squares, rtol=1e-5)
