"""Losses by task and measured values of language models, against NumPy in float64."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_text
from scored_text import at
from scored_text import words as words_of

from rare_retention.models.olmo import Compute
from rare_retention.parallel import MeshShape, make_mesh
from rare_retention.tasks import Comparison

SETTING = tiny_text.language(initialisations=2)
TRACED, NUMBERS, INSTANCES = SETTING.traced, SETTING.numbers(0), SETTING.instances(0)
BATCH, WINDOW, END = tiny_text.BATCH, tiny_text.WINDOW, tiny_text.END


def words(params, group, tokens):
    return words_of(SETTING, params, group, tokens)


@pytest.fixture(scope="module")
def params():
    """Drawn, but for some words that are right now and then since their scores are large."""
    drawn = jax.jit(TRACED.init)(0)
    held = np.bincount(SETTING.windows.held_out().ravel()).argsort()[-5:]
    loud = [*held, *(token for one in INSTANCES for token in one.tokens[1::20, 2])]
    for stack in drawn.values():
        stack["unembedding"] = stack["unembedding"].at[:, np.unique(loud)].mul(4.0)
    return drawn


@pytest.fixture(scope="module")
def probe(params):
    return jax.jit(TRACED.probe)(params, NUMBERS)


@pytest.fixture(scope="module")
def batch():
    """Twelve instances: half of the rows have two, the others one."""
    exposure = {"placement": "burst", "gap": 3, "withheld": (1, 2)}
    run = tiny_text.run(SETTING, **{f"exposure__{name}": value for name, value in exposure.items()})
    found = SETTING.batches(run.schedule(), 0, range(2, 3), slice(None))
    return {name: leaf[0] for name, leaf in found.items()}


def test_losses_by_task_are_the_cross_entropies_of_their_tokens(params, batch):
    """Split by hand: TOK2, LABEL and the end of an instance, and TOK1 of a later one."""
    owner = np.zeros((BATCH, WINDOW), int)
    for row, slots in enumerate(batch["task"]):
        for slot, task in enumerate(slots):
            owner[row, 4 * slot : 4 * slot + 4] = task
    assert {0, 1, 2} == set(owner.ravel()) and np.any(batch["task"][:, 1] > 0)
    owner = owner[:, 1:]
    losses = jax.jit(TRACED.losses)(params, batch, jax.random.key(0), NUMBERS)
    shares = np.asarray(TRACED.shares(jax.tree.map(jnp.asarray, batch)))
    np.testing.assert_allclose(shares, [np.mean(owner == k) for k in range(3)], rtol=1e-6)
    assert list(losses) == list(SETTING.architectures) == sorted(losses)
    for group, found in losses.items():
        each = at(words(params, group, batch["tokens"])[:, :, :-1], batch["tokens"][:, 1:])
        np.testing.assert_allclose(np.sum(found, 1), each.mean((1, 2)), rtol=2e-6)
        expected = [[one[owner == k].sum() / one.size for k in range(3)] for one in each]
        np.testing.assert_allclose(found, expected, rtol=2e-6)
        means = [[one[owner == k].mean() for k in range(3)] for one in each]
        np.testing.assert_allclose(found / shares[None], means, rtol=1e-5)


def test_one_row_split_by_hand(params, batch):
    """A row of two instances: seven targets are theirs, eight the text's."""
    tokens = np.array([[3, 4, 5, END, 6, 7, 8, END, *range(20, 28)]], np.int32)
    row = {"tokens": tokens, "task": np.array([[2, 1]], np.int32)}
    losses = jax.jit(TRACED.losses)(params, row, jax.random.key(0), NUMBERS)
    np.testing.assert_allclose(
        TRACED.shares(jax.tree.map(jnp.asarray, row)), [8 / 15, 4 / 15, 3 / 15], rtol=1e-6
    )
    for group, found in losses.items():
        each = at(words(params, group, tokens)[:, :, :-1], tokens[:, 1:])[:, 0]
        text, first, second = each[:, 7:].sum(1), each[:, :3].sum(1), each[:, 3:7].sum(1)
        np.testing.assert_allclose(found, np.stack([text, second, first], 1) / 15, rtol=2e-6)


def test_probe_is_the_loss_and_accuracy_of_labels(params, probe):
    """Of 20 instances of each half, and of every token of the held-out text."""
    reference = jax.jit(TRACED.reference)(params, NUMBERS)
    held, some = SETTING.windows.held_out(), {}
    for group, found in probe.items():
        for half, prefix in (("train", ""), ("test", "test_")):
            logs = words(params, group, held)[:, :, :-1]
            expected = [(at(logs, held[:, 1:]), logs.argmax(-1) == held[:, 1:])]
            for one in INSTANCES:
                tokens = one.tokens[getattr(one, half)[:20]]
                logs = words(params, group, tokens)[:, :, 1:2]
                expected.append((at(logs, tokens[:, 2:]), logs.argmax(-1) == tokens[:, 2:]))
            loss = np.stack([value.mean((1, 2)) for value, _ in expected], 1)
            right = np.stack([value.mean((1, 2)) for _, value in expected], 1)
            np.testing.assert_allclose(found[f"{prefix}loss"], loss, rtol=2e-6)
            np.testing.assert_allclose(found[f"{prefix}accuracy"], right, atol=1e-6)
            some[prefix] = some.get(prefix, 0) + right.sum(0)
    for right in some.values():
        assert np.all((right > 0) & (right < 4))  # of two sizes, two models each
        np.testing.assert_allclose(reference[group], found["loss"][:, 2:], rtol=1e-6)


def test_all_instances_are_evaluated_where_there_are_few(params):
    """Of watched tasks of either sign, in the order asked for."""
    setting = tiny_text.language(initialisations=2, evaluated=1000, watch=(2, -2))
    assert setting.watch_ids == (2, 1)
    reference = jax.jit(setting.traced.reference)(params, setting.numbers(0))
    tokens = INSTANCES[0].tokens[INSTANCES[0].train]
    assert len(tokens) == 40
    for group, found in reference.items():
        loss = at(words(params, group, tokens)[:, :, 1:2], tokens[:, 2:]).mean((1, 2))
        np.testing.assert_allclose(found[:, 1], loss, rtol=2e-6)


def test_evaluation_is_the_same_on_eight_devices(params, probe):
    """20 instances and 5 windows do not divide by 8: rows that fill up count for nothing."""
    with jax.set_mesh(make_mesh(MeshShape(data=4, fsdp=2))):
        spread = jax.device_get(jax.jit(TRACED.probe)(params, NUMBERS))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), probe, spread)


def test_initial_draws_differ(params):
    """Two of a size do; the first is the same in another setting with that size."""
    alone = tiny_text.language(sizes=("1x8x16x2",), task_seed=3)
    for group, stack in jax.jit(alone.traced.init)(0).items():
        own = stack | {"unembedding": None}
        expected = params[group] | {"unembedding": None}
        for a, b in zip(jax.tree.leaves(own), jax.tree.leaves(expected), strict=True):
            np.testing.assert_array_equal(a[0], b[0])
            assert np.any(b[0] != b[1])


def test_the_path_of_long_windows_leaves_short_ones_to_another():
    """Instances are three tokens long, splash attention wants 128."""
    setting = tiny_text.language(
        window=128,
        tasks=(Comparison(per_token=1e-3, symbols=4),),
        sizes=("1x8x16x2",),
        compute=Compute(attention="splash"),
    )
    auto = dataclasses.replace(setting, compute=Compute())
    params, numbers = jax.jit(setting.traced.init)(0), setting.numbers(0)
    found, expected = (jax.jit(s.traced.probe)(params, numbers) for s in (setting, auto))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4), found, expected)
