"""Updates of an optimizer against those written out in NumPy float64."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from rare_retention.optimizer import Optimizer, olmo
from rare_retention.settings.matrix import Matrix
from rare_retention.train.updates import learning_rate, transformation


def matrix(name, axes):
    """Of the leaves below all of two axes, and queries, keys and values [L, D, 3, H, C]."""
    del name
    return {2: Matrix(), 5: Matrix(inputs=(-4,), outputs=(-2, -1))}.get(axes)


SHAPES = {"w": (3, 4), "v": (5,)}


def draw(seed, steps=6, students=2, scale=1.0, shapes=SHAPES):
    """Weights [S, ...] of all leaves, and a gradient for every step."""
    rng = np.random.default_rng(seed)
    shapes = {name: (students, *shape) for name, shape in shapes.items()}
    params = {name: rng.standard_normal(shape) for name, shape in shapes.items()}
    grads = [
        {name: scale * rng.standard_normal(shape) for name, shape in shapes.items()}
        for _ in range(steps)
    ]
    return params, grads


def descend(config, params, grads):
    """Weights after all steps, the transform mapped over students as the step does."""
    transform = transformation(config, config.peak, matrix)
    weights = jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), params)
    state = jax.vmap(transform.init)(weights)

    @jax.jit
    def step(weights, state, grad):
        with jax.numpy_dtype_promotion("standard"):
            updates, state = jax.vmap(transform.update)(grad, state, weights)
        return optax.apply_updates(weights, updates), state

    for grad in grads:
        grad = jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), grad)
        weights, state = step(weights, state, grad)
    return weights


def clipped(grad, student, most):
    """One student's gradient, scaled to a norm over both its leaves of at most `most`."""
    own = {name: leaf[student] for name, leaf in grad.items()}
    norm = np.sqrt(sum(np.sum(leaf**2) for leaf in own.values()))
    factor = 1.0 if most is None else min(1.0, most / norm)
    return {name: leaf * factor for name, leaf in own.items()}


def adamw(rate, params, grads, clip=1.0, decay=1e-2, beta1=0.9, beta2=0.999, epsilon=1e-8):
    """Decoupled AdamW in the order of PyTorch's documentation; `rate` is a function of the step."""
    result = {name: leaf.copy() for name, leaf in params.items()}
    for student in range(2):
        mean = {name: np.zeros_like(leaf[student]) for name, leaf in params.items()}
        square = {name: np.zeros_like(leaf[student]) for name, leaf in params.items()}
        for t, grad in enumerate(grads):
            for name, g in clipped(grad, student, clip).items():
                weight = result[name][student]
                weight -= rate(t) * decay * weight
                mean[name] = beta1 * mean[name] + (1 - beta1) * g
                square[name] = beta2 * square[name] + (1 - beta2) * g**2
                unbiased = mean[name] / (1 - beta1 ** (t + 1))
                root = np.sqrt(square[name] / (1 - beta2 ** (t + 1)))
                weight -= rate(t) * unbiased / (root + epsilon)
    return result


def close(found, expected, tolerance=2e-6):
    for name, leaf in expected.items():
        np.testing.assert_allclose(found[name], leaf, atol=tolerance, err_msg=name)


@pytest.mark.parametrize("scale", [0.01, 10.0])
def test_adamw_with_the_papers_defaults(scale):
    """PyTorch's betas, epsilon and decay; 1e-3 / sqrt(1 + t / 1000); norms clipped at one."""
    params, grads = draw(0, scale=scale)
    expected = adamw(lambda t: 1e-3 / np.sqrt(1 + t / 1000), params, grads)
    close(descend(Optimizer(), params, grads), expected)


def test_adamw_with_other_values():
    """Each field reaches the update; warm-up grows linearly from a first rate of zero."""
    config = Optimizer(
        peak=0.1,
        timescale=2.0,
        warmup=3,
        weight_decay=0.3,
        beta1=0.7,
        beta2=0.8,
        epsilon=0.05,
        clip=None,
    )
    params, grads = draw(1)

    def rate(t):
        return min(t / 3, 1) * 0.1 / np.sqrt(1 + t / 2)

    expected = adamw(rate, params, grads, None, 0.3, 0.7, 0.8, 0.05)
    close(descend(config, params, grads), expected, tolerance=1e-5)
    unmoved = descend(config, params, grads[:1])
    close(unmoved, {name: leaf.astype(np.float32) for name, leaf in params.items()}, tolerance=0)


def test_plain_descent():
    """`sgd` ignores decay and moments; clipping works as for AdamW."""
    params, grads = draw(2)
    for clip in (None, 0.5):
        config = Optimizer(method="sgd", peak=0.05, schedule="constant", clip=clip)
        expected = {name: leaf.copy() for name, leaf in params.items()}
        for grad in grads:
            for student in range(2):
                for name, g in clipped(grad, student, clip).items():
                    expected[name][student] -= 0.05 * g
        close(descend(config, params, grads), expected)


def test_a_huge_gradient_of_one_student_leaves_the_others_alone():
    """Each student is clipped by its own norm: bit-identical with and without the other."""
    params, grads = draw(3, scale=0.1)
    calm = descend(Optimizer(), params, grads)
    for grad in grads:
        for leaf in grad.values():
            leaf[0] *= 1e8
    wild = descend(Optimizer(), params, grads)
    for name in params:
        np.testing.assert_array_equal(calm[name][1], wild[name][1])
        assert np.any(np.asarray(calm[name][0]) != np.asarray(wild[name][0]))


def test_learning_rates():
    """Peak at step 0, 0.71 of it after the time scale; or constant; warmed up or not."""
    decaying = learning_rate(Optimizer(timescale=100.0), 0.2)
    np.testing.assert_allclose(decaying(jnp.int32(0)), 0.2, rtol=1e-6)
    np.testing.assert_allclose(decaying(jnp.int32(100)), 0.2 * np.sqrt(0.5), rtol=1e-6)
    np.testing.assert_allclose(decaying(jnp.int32(10**8)), 0.2e-3, rtol=1e-4)
    constant = learning_rate(Optimizer(schedule="constant", warmup=4), 0.2)
    with jax.numpy_dtype_promotion("standard"):
        rates = [float(constant(jnp.int32(t))) for t in (0, 1, 2, 4, 100)]
    np.testing.assert_allclose(rates, [0, 0.05, 0.1, 0.2, 0.2], rtol=1e-6)


def test_the_warm_up_of_the_published_recipe():
    """Rates of AI2's trainer at some steps of OLMo-7B-0724 with a peak of 3e-4, as it logs them."""
    rate = learning_rate(olmo(50_000), 3e-4)
    with jax.numpy_dtype_promotion("standard"):
        rates = [float(rate(jnp.int32(t))) for t in (0, 100, 500, 1000, 2499, 49_999)]
    expected = [3.01e-5, 4.09e-5, 8.41e-5, 1.381e-4, 3e-4, 3e-5]
    np.testing.assert_allclose(rates, expected, rtol=5e-4)


def limits(config, steps):
    """Largest norms of the updates of so many steps, by plain descent at a rate of one."""
    rate = {"peak": 1.0, "schedule": "constant", "warmup": 0, "ahead": 0}
    transform = transformation(dataclasses.replace(config, method="sgd", **rate), 1.0, matrix)
    weights = {"w": jnp.zeros(4)}

    def step(state, _):
        with jax.numpy_dtype_promotion("standard"):
            updates, state = transform.update({"w": jnp.full(4, 1e3)}, state, weights)
        return state, jnp.linalg.norm(updates["w"])

    return np.asarray(jax.lax.scan(step, transform.init(weights), length=steps)[1])


def test_clipping_of_the_published_recipe():
    """OLMo-7B-0724 as AI2's trainer runs it, batch by batch: `OLMo-7B-0724.yaml` and `train.py`.

    A batch of 512 windows of 4096 tokens is counted, clipped at the norm that its group of weights
    has, and only then does the group get the norm that is due after so many tokens: 5 up to the
    2,097,152,000th, 1 beyond. Before the first batch it has `max_grad_norm` itself.
    """
    tokens, norm, expected = 0, 1.0, []
    for _ in range(1010):
        tokens += 512 * 4096
        expected.append(norm)
        norm = 5.0 if tokens <= 2_097_152_000 else 1.0
    found = limits(olmo(100_000), 1010)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    golden = {0: 1.0, 1: 5.0, 2: 5.0, 999: 5.0, 1000: 5.0, 1001: 1.0, 1009: 1.0}
    np.testing.assert_allclose(found[list(golden)], list(golden.values()), rtol=1e-6)


def test_the_larger_norm_begins_at_once_where_nothing_else_is_said():
    np.testing.assert_allclose(limits(olmo(300, from_zero=True), 6), [5, 5, 5, 1, 1, 1], rtol=1e-6)
    np.testing.assert_allclose(limits(Optimizer(), 3), [1, 1, 1], rtol=1e-6)


@pytest.mark.parametrize("schedule", ["inverse_sqrt", "constant"])
def test_other_schedules_grow_from_a_share_and_are_read_ahead(schedule):
    config = Optimizer(schedule=schedule, warmup=10, warmup_from=0.5, ahead=2, timescale=1e9)
    with jax.numpy_dtype_promotion("standard"):
        rates = [float(learning_rate(config, 0.2)(jnp.int32(t))) for t in (0, 3, 8, 100)]
    np.testing.assert_allclose(rates, [0.12, 0.15, 0.2, 0.2], rtol=1e-6)


@pytest.mark.parametrize("warmup", [0, 7])
def test_cosine_is_its_closed_form(warmup):
    """From zero to the peak, along half a cosine to a tenth of it, and there for good."""
    config = Optimizer(schedule="cosine", warmup=warmup, horizon=100, final=0.1)
    with jax.numpy_dtype_promotion("standard"):
        rates = jax.vmap(learning_rate(config, 0.3))(jnp.arange(150))
    t = np.arange(150)
    turn = np.pi * np.clip((t - warmup) / (100 - warmup), 0, 1)
    body = 0.3 * (0.1 + 0.9 * (1 + np.cos(turn)) / 2)
    expected = np.where(t < warmup, 0.3 * t / max(warmup, 1), body)
    np.testing.assert_allclose(rates, expected, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("warmup", [0, 5])
@pytest.mark.parametrize("schedule", ["inverse_sqrt", "cosine", "constant"])
def test_a_peak_may_be_an_argument_of_a_program(schedule, warmup):
    """Learning rates and updates are those of a peak that is built in, which Optax's are too."""
    config = Optimizer(peak=0.3, schedule=schedule, warmup=warmup, horizon=20, timescale=5.0)
    steps = jnp.arange(30)
    with jax.numpy_dtype_promotion("standard"):
        traced = jax.jit(lambda peak: jax.vmap(learning_rate(config.form, peak))(steps))
        found = traced(np.float32(0.3))
        np.testing.assert_allclose(found, jax.vmap(learning_rate(config, 0.3))(steps), rtol=1e-6)
        if schedule == "cosine":
            start = 0.0 if warmup else 0.3
            own = optax.warmup_cosine_decay_schedule(start, 0.3, warmup, 20, 0.03)
            np.testing.assert_allclose(found, jax.vmap(own)(steps), rtol=2e-6)
    params, grads = draw(5, steps=1)
    weights, grad = (jax.tree.map(lambda a: jnp.asarray(a[0], jnp.float32), t) for t in
                     (params, grads[0]))  # fmt: skip

    def update(peak):
        transform = transformation(config.form, peak, matrix)
        with jax.numpy_dtype_promotion("standard"):
            return transform.update(grad, transform.init(weights), weights)[0]

    close(jax.jit(update)(np.float32(0.3)), update(0.3), tolerance=1e-7)


@pytest.mark.parametrize("warmup", [1, 3])
def test_early_gradients_are_clipped_at_a_larger_norm(warmup):
    """Four times the norm in the first steps, the norm itself from then on."""
    params, grads = draw(4, scale=10.0)
    fields = {"method": "sgd", "peak": 0.05, "schedule": "constant", "clip": 0.5}
    config = Optimizer(**fields, clip_warmup=warmup, clip_factor=4.0)
    expected = {name: leaf.copy() for name, leaf in params.items()}
    for t, grad in enumerate(grads):
        for student in range(2):
            for name, g in clipped(grad, student, 2.0 if t < warmup else 0.5).items():
                expected[name][student] -= 0.05 * g
    close(descend(config, params, grads), expected)


STACKED = {"wide": (3, 7), "tall": (8, 3), "qkv": (2, 6, 3, 2, 2), "v": (5,)}
"""Leaves of one student: two matrices, twelve of 6 inputs and 4 outputs, a vector."""


def flat(leaf):
    """The matrices [n, inputs, outputs] of one student's leaf; None if it is none."""
    if leaf.ndim == 2:
        return leaf[None]
    if leaf.ndim == 5:
        layers, hidden = leaf.shape[:2]
        return leaf.transpose(0, 2, 1, 3, 4).reshape(layers * 3, hidden, -1)
    return None


def unflat(matrices, shape):
    """The inverse of `flat`."""
    if len(shape) == 2:
        return matrices[0]
    layers, hidden, kinds, heads, size = shape
    return matrices.reshape(layers, kinds, hidden, heads, size).transpose(0, 2, 1, 3, 4)


def orthogonal(x, steps):
    """Newton-Schulz as Jordan et al. write it down, a x + (b A + c A^2) x with A = x x^T."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = x / np.linalg.norm(x)
    for _ in range(steps):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x


def muon(config, rate, params, grads):
    """Weights after all steps: each matrix by Muon, the rest by AdamW."""
    beta, result = config.momentum, {name: leaf.copy() for name, leaf in params.items()}
    others = {name: leaf for name, leaf in params.items() if flat(leaf[0]) is None}
    for student in range(len(params["v"])):
        mean = {name: np.zeros_like(leaf[student]) for name, leaf in params.items()}
        for t, grad in enumerate(grads):
            for name, g in clipped(grad, student, config.clip).items():
                if name in others:
                    continue
                weight = result[name][student]
                mean[name] = beta * mean[name] + (1 - beta) * g
                seen = mean[name] / (1 - beta ** (t + 1))
                if config.nesterov:  # the mean as the next step would correct it
                    seen = beta * mean[name] / (1 - beta ** (t + 2))
                    seen = seen + (1 - beta) * g / (1 - beta ** (t + 1))
                inputs, outputs = flat(weight).shape[1:]
                scale = np.sqrt(max(1, outputs / inputs))
                if config.update_rms is not None:
                    scale = config.update_rms * np.sqrt(max(inputs, outputs))
                turned = [scale * orthogonal(x, config.newton_schulz) for x in flat(seen)]
                step = unflat(np.stack(turned), weight.shape)
                weight -= rate(t) * (step + config.weight_decay * weight)
    rest = [{name: np.stack([clipped(grad, s, config.clip)[name] for s in range(2)])
             for name in others} for grad in grads]  # fmt: skip
    own = adamw(
        lambda t: config.adam_factor * rate(t), others, rest, None, config.weight_decay,
        config.beta1, config.beta2, config.epsilon,
    )  # fmt: skip
    return result | own


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"clip": None, "update_rms": None, "nesterov": False, "momentum": 0.8},
        {"clip": 0.5, "newton_schulz": 3, "update_rms": 0.5, "adam_factor": 0.1, "warmup": 3},
        {"weight_decay": 0.3, "beta1": 0.7, "beta2": 0.8, "epsilon": 0.05, "momentum": 0.0},
    ],
)
def test_muon_for_matrices_and_adamw_for_the_rest(fields):
    """Every field reaches the update; the rate, its warm-up, decay and clipping are of both."""
    config = Optimizer(method="muon", peak=0.05, timescale=4.0, **fields)
    params, grads = draw(6, shapes=STACKED)

    def rate(t):
        grown = min(t / config.warmup, 1) if config.warmup else 1
        return grown * 0.05 / np.sqrt(1 + t / 4)

    close(descend(config, params, grads), muon(config, rate, params, grads), tolerance=2e-5)


def test_the_published_scale_has_the_size_of_adamws():
    """Root mean square of 0.2 for a matrix of full rank, up to what Newton-Schulz leaves."""
    config = Optimizer(method="muon", peak=1.0, schedule="constant", weight_decay=0.0, clip=None)
    params, grads = draw(7, steps=1, shapes={"square": (40, 40), "wide": (20, 60), "v": (5,)})
    after = descend(config, params, grads)
    for name in ("square", "wide"):
        moved = np.asarray(after[name]) - params[name]
        assert np.sqrt(np.mean(moved**2)) == pytest.approx(0.2, rel=0.2), name


def test_each_students_update_is_of_its_own_matrices_alone():
    """All students at once are each alone; a huge gradient of one leaves the other's bits."""
    config = Optimizer(method="muon", peak=0.05)
    params, grads = draw(8, shapes=STACKED)
    both = descend(config, params, grads)
    for student in range(2):
        own = slice(student, student + 1)
        alone = descend(
            config,
            {name: leaf[own] for name, leaf in params.items()},
            [{name: leaf[own] for name, leaf in grad.items()} for grad in grads],
        )
        close({name: leaf[own] for name, leaf in both.items()}, alone, tolerance=1e-6)
    for grad in grads:
        for leaf in grad.values():
            leaf[0] = 1e8 * leaf[0][..., ::-1]
    wild = descend(config, params, grads)
    for name in params:
        np.testing.assert_array_equal(both[name][1], wild[name][1])
        assert np.any(np.asarray(both[name][0]) != np.asarray(wild[name][0]))


def test_what_has_no_gradient_is_left_where_it_is():
    """Not a division of zero by zero: a task that is left out has no gradient at all."""
    config = Optimizer(method="muon", weight_decay=0.0)
    params, grads = draw(9, shapes=STACKED)
    still = [{name: np.zeros_like(leaf) for name, leaf in grad.items()} for grad in grads]
    start = {name: leaf.astype(np.float32) for name, leaf in params.items()}
    close(descend(config, params, still), start, tolerance=0)
