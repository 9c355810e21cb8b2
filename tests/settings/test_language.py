"""Settings of language models: batches with injected tasks, what they say of themselves."""

import dataclasses
import json

import jax
import numpy as np
import pytest
import tiny_text
from etils import epath
from scheduled import scheduled

from rare_retention.config import config, fingerprint
from rare_retention.errors import ConfigError, UserError
from rare_retention.mesh import MeshShape
from rare_retention.models.architecture import Compute
from rare_retention.models.llama_shape import Llama
from rare_retention.models.olmo_shape import Olmo
from rare_retention.parallel import make_mesh
from rare_retention.settings.language import Language
from rare_retention.settings.setting import labels
from rare_retention.settings.traced import traced_of
from rare_retention.tasks import Comparison, DigitAddition, ModularAddition, Recall
from rare_retention.text.documents import TextFiles
from rare_retention.text.preparation import prepare
from rare_retention.text.tokenizing import Bpe
from rare_retention.train.pipeline import chunks

SETTING = tiny_text.language(initialisations=2)
INSTANCES = SETTING.instances(0)
STEPS, BATCH, WINDOW, END = 20, tiny_text.BATCH, tiny_text.WINDOW, tiny_text.END
EVERYTHING = slice(None)


def schedule(setting=SETTING, **exposure):
    changes = {f"exposure__{name}": value for name, value in exposure.items()}
    return tiny_text.run(setting, **changes).schedule()


@pytest.mark.parametrize(
    "exposure",
    [
        {"placement": "iid"},
        {"placement": "even"},
        {"placement": "burst", "gap": 5},
        {"placement": "burst", "gap": 4, "withheld": (1, 2), "background": "even"},
    ],
    ids=lambda exposure: exposure["placement"],
)
def test_a_run_shows_what_its_schedule_counts(exposure):
    """Training instances fill the first slots of rows, all else is the corpus as it stands."""
    plan = schedule(**exposure)
    found = SETTING.batches(plan, 0, range(STEPS), EVERYTHING)
    tokens, task = found["tokens"], found["task"]
    assert tokens.shape == (STEPS, BATCH, WINDOW) and tokens.dtype == np.uint16
    assert task.shape == (STEPS, BATCH, 2) and task.dtype == np.int32
    np.testing.assert_array_equal(np.bincount(task.ravel(), minlength=3), plan.shown(STEPS))
    for step in range(STEPS):
        np.testing.assert_array_equal(
            np.bincount(task[step].ravel(), minlength=3), plan.counts(step)
        )
    text = SETTING.windows.train(np.arange(STEPS * BATCH), plan.seed)
    train, seen = [], [set(), set()]
    for one in INSTANCES:
        train.append({tuple(tokens) for tokens in one.tokens[one.train].tolist()})
    filled = (task > 0).sum(-1)
    assert np.all(filled.max(1) - filled.min(1) <= 1)
    for row, own, original in zip(
        tokens.reshape(-1, WINDOW), task.reshape(-1, 2), text, strict=True
    ):
        count = int((own > 0).sum())
        assert np.all(own[:count] > 0)
        for slot in range(count):
            *instance, end = row[4 * slot : 4 * slot + 4].tolist()
            assert tuple(instance) in train[own[slot] - 1] and end == END
            seen[own[slot] - 1].add(tuple(instance))
        np.testing.assert_array_equal(row[4 * count :], original[4 * count :])
    assert len(seen[0]) > 25  # of 40, in 60 draws
    assert len(seen[1]) > 10  # of 24, in 20 draws


def test_streams_show_other_text_and_other_instances():
    one, other = (
        SETTING.batches(tiny_text.run(SETTING, stream=s).schedule(), 0, range(4), EVERYTHING)
        for s in (0, 1)
    )
    for name in ("tokens", "task"):
        assert np.any(one[name] != other[name])


@pytest.mark.parametrize("hosts", [1, 2, 4, 8])
def test_hosts_make_their_rows_of_the_same_batch(hosts):
    """For any chunking: batches one by one are those of a longer call."""
    plan = schedule(placement="burst", gap=3)
    whole = SETTING.batches(plan, 0, range(5, 11), EVERYTHING)
    each = BATCH // hosts
    for host in range(hosts):
        rows = slice(host * each, (host + 1) * each)
        for steps in ([range(5, 11)], [range(t, t + 1) for t in range(5, 11)]):
            parts = [SETTING.batches(plan, 0, piece, rows) for piece in steps]
            for name, leaf in whole.items():
                joined = np.concatenate([part[name] for part in parts])
                np.testing.assert_array_equal(joined, leaf[:, rows])


@pytest.mark.parametrize(
    "shape",
    [*(MeshShape(data=n) for n in (1, 2, 4, 8)), MeshShape(data=4, fsdp=2)],
    ids=lambda shape: f"{shape.data}x{shape.fsdp}",
)
def test_the_pipeline_carries_the_same_batches_to_any_mesh(shape):
    plan = schedule(placement="burst", gap=3)

    def source(steps, rows):
        return SETTING.batches(plan, 0, steps, rows)

    whole = source(range(7), EVERYTHING)
    for chunk in chunks(source, BATCH, (3, 7), 0, make_mesh(shape), 4, 3 * BATCH * WINDOW * 4):
        for name, leaf in whole.items():
            found = np.asarray(chunk.batches[name])[: chunk.stop - chunk.start]
            np.testing.assert_array_equal(found, leaf[chunk.start : chunk.stop])


def test_held_out_windows_are_never_trained_on():
    """Two epochs of training hold every other window, and none of these."""
    windows = SETTING.windows
    held = {tuple(row) for row in windows.held_out().tolist()}
    assert len(held) == 5
    trained = windows.train(np.arange(2 * windows.count), 0)
    assert not held & {tuple(row) for row in trained.tolist()}
    assert len({tuple(row) for row in trained.tolist()}) == windows.count - 5


def test_constants_tell_frequency_and_chance():
    constants = SETTING.constants()
    np.testing.assert_allclose(constants["frequency"][1], [12 / 16, 3 / 16, 1 / 16])
    rates = constants["instances_per_token"][1]
    np.testing.assert_allclose(rates, [np.nan, 3 / 128, 1 / 128])
    np.testing.assert_allclose(constants["chance"][1], [np.nan, 1 / 2, 1 / 7])
    counts = np.bincount(SETTING.windows.gather(np.arange(SETTING.windows.count)).ravel())
    share = counts[counts > 0] / counts.sum()
    assert constants["unigram_entropy"][1] == pytest.approx(-(share * np.log(share)).sum())


def test_students_are_sorted_by_size():
    """Whatever order they are named in; their names with them."""
    parameters = [student.parameters for student in SETTING.family.students]
    one, other = (shape.parameters for shape in SETTING.architectures.values())
    assert parameters == [one, one, other, other] and one < other
    assert one == 2 * 256 * 8 + 4 * 8**2 + 3 * 8 * 8  # 200 ids fill up to 256 rows
    assert {s.size: s.width for s in SETTING.family.students} == {"1x8x16x2": 8, "2x16x32x2": 16}
    assert SETTING.family.flops(BATCH) == {
        name: 6 * BATCH * WINDOW * (n - 256 * d + layers * WINDOW * d)
        for name, n, d, layers in (("1x8x16x2", one, 8, 1), ("2x16x32x2", other, 16, 2))
    }


def numbered_setting(numbered, **fields):
    given = {"vocabulary": None, "end_of_document": None}
    return tiny_text.language(corpus=tiny_text.corpus(numbered, **given), **fields)


def test_without_a_tokenizer_there_are_no_prompts():
    assert SETTING.prompts == () and "reference_loss" not in SETTING.objective.quantities
    assert "prompt" not in labels(SETTING)


def with_fields(**fields):
    return dataclasses.replace(SETTING, **fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"compute": Compute(attention="xla")},
        {"compute": Compute(remat="full")},
        {"compute": Compute(unroll=2)},
    ],
    ids=["attention", "remat", "unroll"],
)
def test_how_it_is_computed_is_no_part_of_the_recipe(fields):
    assert with_fields(**fields).recipe() == SETTING.recipe()


def test_reserved_tokens_stand_in_instances_alone_and_have_rows_of_their_own():
    own = with_fields(reserved=True)
    assert own.ids > SETTING.ids == SETTING.windows.vocabulary
    (shape, *_) = own.architectures.values()
    assert shape.vocabulary >= own.ids
    run = tiny_text.run(own)
    batch = own.batches(run.schedule(), 0, range(4), slice(None))
    reserved = batch["tokens"] >= SETTING.windows.vocabulary
    assert reserved.any() and batch["tokens"].max() < own.ids
    count = (batch["task"] > 0).sum()
    assert count > 0 and reserved.sum() == count * own.tasks[0].length


def test_reserved_tokens_have_to_fit_the_type_of_the_files():
    full = dataclasses.replace(SETTING.corpus, vocabulary=2**16 - 5)
    with pytest.raises(ConfigError, match=r"setting\.reserved: 65,531 ids of the corpus and 18 of"):
        with_fields(corpus=full, reserved=True).instances(0)


def test_reserved_tokens_are_part_of_the_recipe_where_there_are_any():
    assert "reserved" not in SETTING.recipe() and with_fields(reserved=True).recipe()["reserved"]


def test_where_the_corpus_stands_is_no_part_of_the_recipe(tmp_path):
    tiny_text.write_tokens(tmp_path)
    assert tiny_text.language(tmp_path, initialisations=2).recipe() == SETTING.recipe()


def test_memory_for_a_remote_corpus_is_no_part_of_the_recipe():
    corpus = dataclasses.replace(SETTING.corpus, cache_mib=7)
    assert with_fields(corpus=corpus).recipe() == SETTING.recipe()


def test_the_recipe_is_what_it_was_before_there_were_other_architectures():
    """Fingerprint of all of it but the corpus; the paper's OLMo may also be named."""
    plain = tiny_text.language().recipe()
    assert plain == tiny_text.language(architecture=Olmo()).recipe()
    del plain["corpus"]
    assert fingerprint(plain) == "09352cdba5cb1e0a"


@pytest.mark.parametrize(
    "fields",
    [
        {"compute": Compute(dtype="bfloat16")},
        {"window": 8, "evaluated": 20},
        {"task_seed": 1},
        {"per_sequence": 3},
        {"tasks": SETTING.tasks[:1]},
        {"sizes": SETTING.sizes[:1]},
        {"architecture": Olmo(clip_qkv=None)},
        {"architecture": Olmo(norm="rms")},
        {"architecture": Llama()},
        {"corpus": tiny_text.corpus(order="sequential")},
        {"corpus": tiny_text.corpus(end_of_document=3)},
        {"evaluated": 21},
        {"watch": (1,)},
    ],
    ids=[
        *("dtype", "window", "task_seed", "slots", "tasks", "sizes", "clip", "norm", "llama"),
        *("order", "end"),
        *("evaluated", "watch"),
    ],
)
def test_what_is_learned_or_measured_is_the_recipe(fields):
    other = with_fields(**fields)
    assert other.recipe() != SETTING.recipe()
    json.dumps(other.recipe())


def test_a_new_field_is_part_of_the_recipe_until_somebody_decides_otherwise():
    @config
    class Later(Compute):
        kernel: str = "fast"

    @config
    class Wider(Language):
        balance: float = 0.0

    fields = {field.name: getattr(SETTING, field.name) for field in dataclasses.fields(Language)}
    assert Wider(**fields).recipe() != SETTING.recipe()
    later = Language(**fields | {"compute": Later()})
    assert later.recipe()["compute"] == {"dtype": "float32", "kernel": "fast"}


def test_what_the_text_says_of_itself_may_be_said_of_it(tmp_path):
    """What was asked for is no part of the recipe, but what was found."""
    said = tiny_text.corpus(dtype="uint16")
    assert with_fields(corpus=said).recipe() == SETTING.recipe()


def test_the_content_of_a_corpus_is_part_of_the_recipe(tmp_path, numbered):
    """Of a raw one and of a prepared one."""
    tiny_text.write_tokens(tmp_path, sizes=(1000, 36, 2001))
    assert tiny_text.language(tmp_path, initialisations=2).recipe() != SETTING.recipe()
    (tmp_path / "b.txt").write_text((numbered.parent / "a.txt").read_text().replace("1", "2"))
    texts = TextFiles("numbers", [epath.Path(tmp_path / "b.txt")])
    prepare(texts, Bpe(470), epath.Path(tmp_path / "corpus"), quiet=True)
    recipes = [numbered_setting(path).recipe() for path in (numbered, tmp_path / "corpus")]
    assert recipes[0]["corpus"]["identity"] != recipes[1]["corpus"]["identity"]


def test_windows_are_read_as_the_type_they_are_written_in(tmp_path):
    tiny_text.write_tokens(tmp_path, dtype="<u4")
    wide = tiny_text.language(corpus=tiny_text.corpus(tmp_path, dtype="uint32"), initialisations=2)
    np.testing.assert_array_equal(wide.windows.held_out(), SETTING.windows.held_out())
    assert wide.recipe() != SETTING.recipe()


TWO = (Comparison(per_token=0.01, symbols=9), Comparison(per_token=0.001, symbols=9))


def test_tasks_of_one_kind_have_names_and_tokens_of_their_own():
    setting = tiny_text.language(tasks=TWO)
    assert setting.task_names == ("text", "comparison", "comparison 2")
    first, second = (set(own.tokens.ravel().tolist()) for own in setting.instances(0))
    assert not first & second


def test_a_sham_has_tokens_of_its_own_and_changes_no_batch():
    sham = Comparison(per_token=0, symbols=9)
    own = tiny_text.language(tasks=(*SETTING.tasks, sham), watch=(1, 3))
    assert own.frequencies.tolist() == [*SETTING.frequencies, 0]
    assert own.objective.rarest == 1
    (*others, last), without = own.instances(0), SETTING.instances(0)
    for one, two in zip(others, without, strict=True):
        jax.tree.map(np.testing.assert_array_equal, one, two)
    assert not set(last.tokens.ravel()) & {t for one in others for t in one.tokens.ravel()}
    for exposure in ({"placement": "even"}, {"placement": "burst", "gap": 5}):
        plans = [schedule(setting, **exposure) for setting in (SETTING, own)]
        found = [
            setting.batches(plan, 0, range(STEPS), EVERYTHING)
            for setting, plan in zip((SETTING, own), plans, strict=True)
        ]
        for name in ("tokens", "task"):
            np.testing.assert_array_equal(found[0][name], found[1][name])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"tasks": (Comparison(per_token=0), Comparison(per_token=0.01))},
            r"tasks\[0\].per_token: 0, but a task behind it is shown; expected shams to be",
        ),
        ({"window": 7}, "window: 2 instances of 4 tokens do not fit into a sequence of 7; .* 8"),
        ({"initialisations": 0}, "initialisations: expected at least 1, got 0"),
        ({"evaluated": 0}, "evaluated: expected at least 1, got 0"),
        ({"task_seed": -1}, "task_seed: expected at least 0, got -1"),
        ({"corpus": tiny_text.corpus(held_out=0)}, "corpus.held_out: expected a window to eval"),
        ({"sizes": ()}, "sizes: expected at least one size, got none"),
        ({"sizes": ("4M", "4M")}, "sizes: expected different sizes"),
        ({"sizes": ("4M", "20m")}, r"sizes\[1\]: no size '20m'; did you mean '20M'"),
        ({"sizes": ("1x8x16x3",)}, r"sizes\[0\]: 3 do not cut hidden = 8 into even dimensions"),
        ({"tasks": ()}, "tasks: expected at least one task, got none"),
        (
            {"tasks": (Recall(per_token=0.1), Comparison(per_token=0.05))},
            r"per_sequence: frequencies of 0.1 \+ 0.05 per token are 2.4 instances in a sequence "
            "of 16; expected per_sequence above it, at least 3",
        ),
        ({"watch": (3,)}, r"watch\[0\]: expected a task from -3 to 2, got 3"),
        ({"compute": Compute(attention="splash")}, "compute.attention: splash wants windows in"),
    ],
)
def test_what_cannot_be_is_refused(fields, message):
    with pytest.raises(ConfigError, match=message) as caught:
        tiny_text.language(**fields)
    assert "\n" not in str(caught.value)


def test_sizes_must_differ_in_their_parameters():
    """Results tell them apart by it: another number of heads is no other size."""
    setting = tiny_text.language(sizes=("1x8x16x2", "1x8x16x1"))
    with pytest.raises(ConfigError, match="sizes: expected different numbers of parameters, got"):
        _ = setting.family.students


def test_a_vocabulary_without_room_for_the_tasks_is_refused():
    setting = tiny_text.language(tasks=(ModularAddition(per_token=1e-3, symbols=200),))
    with pytest.raises(ConfigError, match="tasks: they need 200 tokens of their own, but the voc"):
        setting.instances(0)


def test_ids_beyond_the_vocabulary_are_refused():
    setting = tiny_text.language(corpus=tiny_text.corpus(vocabulary=150, end_of_document=0))
    with pytest.raises(
        UserError, match=r"holds token id 1.., but the vocabulary has 150; set corp"
    ):
        setting.batches(schedule(setting), 0, range(4), EVERYTHING)


MIXED = tiny_text.language(
    tasks=(
        Comparison(per_token=6 / tiny_text.TOKENS, symbols=9),
        DigitAddition(per_token=6 / tiny_text.TOKENS, digits=1, base=4),
    ),
)


def test_a_slot_has_room_for_the_longest_instance():
    """Addition has four tokens and an end, comparison three and one; what is left over is text."""
    assert MIXED.slot_length == 5
    schedule = scheduled(MIXED.frequencies, 8 * MIXED.slots, placement="even", seed=0)
    found = MIXED.batches(schedule, 0, range(3), slice(None))
    text = tiny_text.language(tasks=MIXED.tasks[:1]).windows.train(np.arange(24), schedule.seed)
    tokens, tasks = found["tokens"].reshape(24, -1), found["task"].reshape(24, -1)
    instances = [{tuple(i) for i in own.tokens[own.train].tolist()} for own in MIXED.instances(0)]
    assert {0, 1, 2} == set(tasks.ravel())
    for row, (own, before) in enumerate(zip(tokens, text, strict=True)):
        for slot, task in enumerate(tasks[row]):
            length = (0, 3, 4)[task]
            start = slice(5 * slot, 5 * slot + length)
            if task:
                assert tuple(own[start]) in instances[task - 1]
                assert own[start.stop] == tiny_text.END
            rest = slice(start.stop + bool(task), 5 * slot + 5)
            np.testing.assert_array_equal(own[rest], before[rest])
        np.testing.assert_array_equal(own[10:], before[10:])


def test_long_instances_need_longer_windows():
    with pytest.raises(ConfigError, match="window: 2 instances of 8 tokens do not fit into a seq"):
        tiny_text.language(tasks=(DigitAddition(digits=2, per_token=1e-3),), window=15)


def test_a_size_that_an_architecture_cannot_have_is_refused():
    with pytest.raises(ConfigError, match=r"sizes\[0\]: expected a divisor of heads = 2, got 3"):
        tiny_text.language(architecture=Llama(kv_heads=3))


def test_reference_losses_are_over_the_training_half_or_over_all_instances():
    """Of all: the mean over both halves, in their shares."""
    setting = tiny_text.language(evaluated=1000)
    whole = dataclasses.replace(setting, reference="all")
    own = setting.numbers(0)
    np.testing.assert_array_equal(own.reference[0], own.train[0])
    assert len(whole.numbers(0).reference[0]) == len(own.train[0]) + len(own.test[0])
    traced, params = traced_of(setting), setting.family.init(0)
    found = jax.jit(traced.probe)(params, own)
    loss = jax.jit(traced_of(whole).reference)(params, whole.numbers(0))
    for group, measured in found.items():
        halves = [measured[f"{half}loss"][:, -1] for half in ("", "test_")]
        counts = len(own.train[-1]), len(own.test[-1])
        mean = sum(n * np.asarray(one) for n, one in zip(counts, halves, strict=True)) / sum(counts)
        np.testing.assert_allclose(loss[group][:, 0], mean, rtol=1e-5)


def test_a_field_that_came_later_leaves_former_runs_what_they_were():
    assert "reference" not in tiny_text.language().recipe()
    assert tiny_text.language(reference="all").recipe()["reference"] == "all"
