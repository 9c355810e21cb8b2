"""Language models inside compiled programs, against NumPy in float64."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_text
from etils import epath
from flax import nnx
from tiny import by_task

from rare_retention.mesh import MeshShape
from rare_retention.models import vocabulary
from rare_retention.models.architecture import Compute
from rare_retention.parallel import logical_names, make_mesh
from rare_retention.settings.setting import labels
from rare_retention.settings.traced import traced_of
from rare_retention.tasks import Comparison, DigitAddition
from rare_retention.tasks.natural import prompts

SETTING = tiny_text.language(initialisations=4, sizes=("2x16x32x2",))
TRACED, NUMBERS, INSTANCES = traced_of(SETTING), SETTING.numbers(0), SETTING.instances(0)
LOSSES = jax.jit(by_task(TRACED))
FEW = Comparison(per_token=1e-3, symbols=4)
BATCH, WINDOW, END = tiny_text.BATCH, tiny_text.WINDOW, tiny_text.END


@pytest.fixture(scope="module")
def params():
    """Drawn, but for some words that are right now and then since their scores are large."""
    drawn = jax.jit(TRACED.family.init)(0)
    held = np.bincount(SETTING.windows.held_out().ravel()).argsort()[-5:]
    loud = [*held, *(token for one in INSTANCES for token in one.tokens[1::20, 2])]
    for stack in drawn.values():
        stack["unembedding"] = stack["unembedding"].at[:, np.unique(loud)].mul(4.0)
    return drawn


@pytest.fixture(scope="module")
def found(params):
    """Probe and reference, from one program."""
    return jax.jit(lambda *asked: (TRACED.probe(*asked), TRACED.reference(*asked)))(params, NUMBERS)


@pytest.fixture(scope="module")
def batch():
    """Twelve instances: half of the rows have two, the others one."""
    exposure = {"placement": "burst", "gap": 3, "withheld": (1, 2)}
    run = tiny_text.run(SETTING, **{f"exposure__{name}": value for name, value in exposure.items()})
    found = SETTING.batches(run.schedule(), 0, range(2, 3), slice(None))
    return {name: leaf[0] for name, leaf in found.items()}


@functools.cache
def scorer(setting, group):
    """Hidden states and scores of the models of a group, one after another."""
    shape = setting.architectures[group]
    with logical_names():
        graph = nnx.split(nnx.eval_shape(lambda: shape.build(Compute(), nnx.Rngs(0))))[0]

    @jax.jit
    def scores(weights, tokens):
        def one(own):
            model = nnx.merge(graph, own)
            return vocabulary.logits(model(tokens), model.unembedding[...])

        return jax.lax.map(one, weights)

    return scores


def words(params, group, tokens, setting=SETTING):
    """Log-probabilities of the next token [R, n, T, V] in float64, from the models' scores.

    Whatever is asked is filled up to batches, for all of which one program does.
    """
    count, length = tokens.shape
    filled = np.pad(tokens, ((0, -count % BATCH), (0, WINDOW - length)))
    scores = scorer(setting, group)
    parts = [scores(params[group], part) for part in np.split(filled, len(filled) // BATCH)]
    logits = np.concatenate(parts, 1)[:, :count, :length].astype(np.float64)
    top = logits.max(-1, keepdims=True)
    return logits - top - np.log(np.exp(logits - top).sum(-1, keepdims=True))


def at(logs, targets):
    """Loss [R, n, m] of targets [n, m] from log-probabilities [R, n, m, V]."""
    return -np.take_along_axis(logs, targets[None, ..., None].astype(int), axis=-1)[..., 0]


def test_losses_by_task_are_the_cross_entropies_of_their_tokens(params, batch):
    """Split by hand: TOK2, LABEL and the end of an instance, and TOK1 of a later one."""
    owner = np.zeros((BATCH, WINDOW), int)
    for row, slots in enumerate(batch["task"]):
        for slot, task in enumerate(slots):
            owner[row, 4 * slot : 4 * slot + 4] = task
    assert {0, 1, 2} == set(owner.ravel()) and np.any(batch["task"][:, 1] > 0)
    owner = owner[:, 1:]
    losses = LOSSES(params, batch, jax.random.key(0), NUMBERS)
    shares = np.asarray(TRACED.objective.shares(jax.tree.map(jnp.asarray, batch)))
    np.testing.assert_allclose(shares, [np.mean(owner == k) for k in range(3)], rtol=1e-6)
    assert list(losses) == list(SETTING.architectures) == sorted(losses)
    for group, found in losses.items():
        each = at(words(params, group, batch["tokens"])[:, :, :-1], batch["tokens"][:, 1:])
        np.testing.assert_allclose(np.sum(found, 1), each.mean((1, 2)), rtol=2e-6)
        expected = [[one[owner == k].sum() / one.size for k in range(3)] for one in each]
        np.testing.assert_allclose(found, expected, rtol=2e-6)
        means = [[one[owner == k].mean() for k in range(3)] for one in each]
        np.testing.assert_allclose(found / shares[None], means, rtol=1e-5)


def test_one_row_split_by_hand(params):
    """A row of two instances: seven targets are theirs, eight the text's; in a batch of its own."""
    tokens = np.array(BATCH * [[3, 4, 5, END, 6, 7, 8, END, *range(20, 28)]], np.uint16)
    row = {"tokens": tokens, "task": np.array(BATCH * [[2, 1]], np.int32)}
    losses = LOSSES(params, row, jax.random.key(0), NUMBERS)
    np.testing.assert_allclose(
        TRACED.objective.shares(jax.tree.map(jnp.asarray, row)), [8 / 15, 4 / 15, 3 / 15], rtol=1e-6
    )
    for group, found in losses.items():
        each = at(words(params, group, tokens)[:, :, :-1], tokens[:, 1:])[:, 0]
        text, first, second = each[:, 7:].sum(1), each[:, :3].sum(1), each[:, 3:7].sum(1)
        np.testing.assert_allclose(found, np.stack([text, second, first], 1) / 15, rtol=2e-6)


def test_instances_of_several_lengths_own_their_tokens_alone():
    """Slots of five tokens: what a comparison of three and its end leave of one is text."""
    tasks = (FEW, DigitAddition(per_token=1e-3, digits=1, base=4))
    objective = tiny_text.language(tasks=tasks).objective
    batch = {"tokens": np.zeros((2, WINDOW), np.uint16), "task": np.array([[2, 1], [1, 0]])}
    owners = objective.inputs(batch, None, None).owners
    found = np.where(owners.sum(-1) > 0, owners.argmax(-1), -1)
    assert found.tolist() == [
        [2] * 4 + [1] * 4 + [0] * 7 + [-1],
        [1] * 3 + [0] * 12 + [-1],
    ]
    some = objective.watched_inputs(batch, None, None)
    assert some.tokens.shape == (2, 10)
    np.testing.assert_array_equal(some.owners[:, :-1], owners[:, :9])
    np.testing.assert_array_equal(some.owners[:, -1], 0)


def test_probe_is_the_loss_and_accuracy_of_labels(params, found):
    """Of 20 instances of each half, and of every token of the held-out text."""
    probe, reference = found
    held, some = SETTING.windows.held_out(), {}
    for group, values in probe.items():
        for half, prefix in (("train", ""), ("test", "test_")):
            logs = words(params, group, held)[:, :, :-1]
            expected = [(at(logs, held[:, 1:]), logs.argmax(-1) == held[:, 1:])]
            for one in INSTANCES:
                tokens = one.tokens[getattr(one, half)[:20]]
                logs = words(params, group, tokens)[:, :, 1:2]
                expected.append((at(logs, tokens[:, 2:]), logs.argmax(-1) == tokens[:, 2:]))
            loss = np.stack([value.mean((1, 2)) for value, _ in expected], 1)
            right = np.stack([value.mean((1, 2)) for _, value in expected], 1)
            np.testing.assert_allclose(values[f"{prefix}loss"], loss, rtol=2e-6)
            np.testing.assert_allclose(values[f"{prefix}accuracy"], right, atol=1e-6)
            some[prefix] = some.get(prefix, 0) + right.sum(0)
    for right in some.values():
        assert np.all((right > 0) & (right < 4))  # of four models
        np.testing.assert_allclose(reference[group], values["loss"][:, 2:], rtol=1e-6)


def test_all_instances_are_evaluated_where_there_are_few(params):
    """Of watched tasks of either sign, in the order asked for."""
    setting = dataclasses.replace(SETTING, evaluated=1000, watch=(2, -2))
    assert setting.watch_ids == (2, 1)
    reference = jax.jit(traced_of(setting).reference)(params, setting.numbers(0))
    tokens = INSTANCES[0].tokens[INSTANCES[0].train]
    assert len(tokens) == 40
    for group, found in reference.items():
        loss = at(words(params, group, tokens)[:, :, 1:2], tokens[:, 2:]).mean((1, 2))
        np.testing.assert_allclose(found[:, 1], loss, rtol=2e-6)


def test_evaluation_is_the_same_on_eight_devices(params, found):
    """20 instances and 5 windows do not divide by 8: rows that fill up count for nothing."""
    with jax.set_mesh(make_mesh(MeshShape(data=4, fsdp=2))):
        spread = jax.device_get(jax.jit(TRACED.probe)(params, NUMBERS))
    for group, values in spread.items():
        for name, value in values.items():
            np.testing.assert_allclose(value, found[0][group][name], rtol=1e-5, atol=1e-6)


def test_initial_draws_differ(params):
    """Those of a size do; the first is the same in another setting with that size."""
    [group] = params
    beside = traced_of(tiny_text.language(task_seed=3))
    own = jax.jit(lambda draw: beside.family.init(draw)[group])(0) | {"unembedding": None}
    expected = params[group] | {"unembedding": None}
    for a, b in zip(jax.tree.leaves(own), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(a[0], b[0])
        assert np.any(b[0] != b[1])


def test_natural_prompts_are_measured(numbered):
    """Minus log of the probability of all right numbers together, mean over prompts."""
    own = tiny_text.corpus(numbered, vocabulary=None, end_of_document=None)
    setting = tiny_text.language(corpus=own, sizes=("1x8x16x2",), tasks=(FEW,))
    asked = prompts(epath.Path(numbered / "tokenizer.json"), {})
    assert labels(setting)["prompt"] == ("increase", "sum") == tuple(p.name for p in asked)
    assert setting.objective.quantities["reference_loss"].dims == ("prompt",)
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(setting.family.init, 0)
    params = jax.tree.map(lambda x: rng.normal(0, 0.3, x.shape).astype(np.float32), shapes)
    probe = jax.jit(traced_of(setting).probe)(params, setting.numbers(0))
    [*_, group] = params
    [found] = np.asarray(probe[group]["reference_loss"])
    for pattern, value in zip(asked, found, strict=True):
        [logs] = words(params, group, pattern.tokens, setting)
        share = np.exp(logs[:, -1])
        each = [
            -np.log(sum(row[token] for token, ok in zip(pattern.numbers, right, strict=True) if ok))
            for row, right in zip(share, pattern.right, strict=True)
        ]
        assert value == pytest.approx(np.mean(each), rel=1e-5)


def test_the_path_of_long_windows_leaves_short_ones_to_another(params):
    """Instances are three tokens long, splash attention wants 128."""
    setting = dataclasses.replace(
        SETTING, window=128, tasks=(FEW,), compute=Compute(attention="splash")
    )
    auto = dataclasses.replace(setting, compute=Compute())
    numbers = setting.numbers(0)
    found = jax.jit(traced_of(setting).probe)(params, numbers)
    for group, expected in jax.jit(traced_of(auto).reference)(params, numbers).items():
        np.testing.assert_allclose(found[group]["loss"][:, 1:], expected, rtol=1e-4)
