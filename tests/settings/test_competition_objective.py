"""One and two gated neurons between two tasks, trained by the step of every run (Fig. 11)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scheduled import scheduled
from tiny import blueprint, by_task

from rare_retention.optimizer import Optimizer
from rare_retention.settings.competition import Competition
from rare_retention.settings.traced import traced_of
from rare_retention.theory import one_neuron
from rare_retention.train.state import Arguments, create
from rare_retention.train.step import Step

RATE = 0.05


def train(setting, streams):
    """Measures at every state of plain descent through rows [T] of each, [T + 1, S, ...]."""
    descent = Optimizer(method="sgd", schedule="constant", peak=RATE, clip=None)
    step = Step(blueprint(traced_of(setting), descent, gradients=False, effect=False))
    state = create(blueprint(traced_of(setting), descent), 0)
    rates = descent.rates(state.params)
    own = Arguments(jax.random.key(0), np.uint32(0), rates, setting.numbers(0))

    def advance(state, row):
        return step.advance(state, own, row[None, None], jnp.int32(1))

    start = step.measure(state, own)
    whole = jax.jit(lambda s, r: jax.lax.scan(advance, s, r)[1])
    runs = [whole(state, jnp.asarray(rows)) for rows in streams]
    return [{k: np.concatenate([start[k][None], then[k]]) for k in start} for then in runs]


def rows_of(setting, steps, placement, seed):
    schedule = scheduled(setting.frequencies, 1, placement=placement, seed=seed)
    return np.concatenate([schedule.rows(t) for t in range(steps)])


@pytest.fixture(scope="module")
def trained():
    """(rows, measures) of 16 initialisations on two streams of the default setting."""
    setting = Competition(initialisations=16)
    streams = [rows_of(setting, 500, *which) for which in (("iid", 0), ("even", 1))]
    return list(zip(streams, train(setting, streams), strict=True))


def test_one_neuron_follows_example_7(trained):
    """Its angle, step by step, is that of the closed-form steps in float64."""
    for rows, measured in trained:
        path = [measured["angle"][0, :16, 0].astype(np.float64)]
        for row in rows:
            step = one_neuron.rare_step if row else one_neuron.common_step
            path.append(step(path[-1], RATE))
        np.testing.assert_allclose(measured["angle"][:, :16, 0], path, rtol=1e-4, atol=1e-30)


def test_one_neuron_is_pulled_back_from_the_rare_task(trained):
    """Fig. 11, one neuron: each rare step raises the alignment, the common steps undo it."""
    for rows, measured in trained:
        rare = measured["alignment"][:60, :16, 1]
        change = np.diff(rare, axis=0)
        shown = rows[:59] == 1
        assert np.all(change[shown] > 0)
        assert np.all(change[~shown] < 0)
        assert rare[0].max() < 0.5
        after = np.flatnonzero(shown)[1] + 1
        assert np.all(rare[after + 8] < rare[after - 1])
        assert measured["alignment"][-1, :16, 1].max() < 1e-6
        assert measured["loss"][-1, :16, 1].min() > 0.999


def test_two_neurons_keep_both_tasks(trained):
    """Fig. 11, two neurons: in every initialisation the rare alignment reaches about one."""
    for _, measured in trained:
        assert measured["alignment"][0, 16:, 1].max() < 0.5
        assert measured["alignment"][-1, 16:].min() > 0.99
        assert measured["loss"][-1, 16:].max() < 0.01


def test_a_second_neuron_is_the_only_difference(trained):
    """Equal initialisations start from the same first neuron; what one neuron lacks is NaN."""
    angle = trained[0][1]["angle"][0]
    np.testing.assert_array_equal(angle[:16, 0], angle[16:, 0])
    assert np.all(np.isnan(angle[:16, 1]))
    assert np.all(np.isfinite(angle[16:]))
    assert np.all((angle[16:] >= 0.2) & (angle[16:] <= 0.7))
    assert len(np.unique(angle[16:])) == 32


def test_losses_split_the_mean_loss_of_the_rows():
    """Each task has its rows' share of the loss; the reference is the loss of a row."""
    setting = Competition(neurons=(3, 1), initialisations=2, watch=(1, 0))
    traced, numbers = traced_of(setting), setting.numbers(0)
    task = jnp.array([0, 1, 0, 0, 1, 0, 0, 0])

    @jax.jit
    def measured(numbers):
        params = traced.family.init(0)
        split = by_task(traced)(params, task, jax.random.key(0), numbers)
        return split, traced.probe(params, numbers), traced.reference(params, numbers)

    split, probes, reference = measured(numbers)
    for name, probe in probes.items():
        loss = np.asarray(probe["loss"])
        np.testing.assert_allclose(split[name], loss * [0.75, 0.25], rtol=1e-6)
        np.testing.assert_array_equal(reference[name], loss[:, ::-1])
