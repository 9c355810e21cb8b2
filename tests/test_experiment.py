import dataclasses

import numpy as np
import pytest
import tiny
import tiny_text

from rare_retention.config import ConfigError, config, override, to_dict
from rare_retention.experiment import (
    LATER,
    LATER_OF,
    LEFT_OUT,
    Exposure,
    Run,
    changes,
)
from rare_retention.optimizer import Optimizer
from rare_retention.settings import regression
from rare_retention.train.plan import data_key

CHANGES = {
    "setting": {"setting__tasks.count": 3},
    "exposure": {"exposure__gap": 16},
    "optimizer": {"optimizer__peak": 0.5},
    "rule": {"rule__kind": "reweighting", "rule__factor": 2.0},
    "batch": {"batch": 64},
    "accumulate": None,  # a setting that draws its inputs has no pieces: see below
    "steps": {"steps": 96},
    "stream": {"stream": 1},
    "held": {"held": "('weights',)"},
    "precision": {"precision": "bfloat16"},
    "measure": {"measure__every": 3, "measure__gradients": True},
    "snapshots": {"snapshots__cycles": 0},
    "checkpoints": {"checkpoints__keep": 5},
    "mesh": {"mesh__data": 1},
    "turns": {"turns": "({'step': 8},)"},
}


def test_every_field_is_known_to_these_tests():
    assert CHANGES.keys() == {field.name for field in dataclasses.fields(Run)}
    assert CHANGES.keys() >= LEFT_OUT


@pytest.mark.parametrize("field", [name for name, changes in CHANGES.items() if changes])
def test_the_identity_sees_all_but_what_is_known_not_to_matter(field):
    same = tiny.run(**CHANGES[field]).identity() == tiny.run().identity()
    assert same == (field in LEFT_OUT)


def test_pieces_of_a_batch_are_no_part_of_the_identity():
    run = tiny.run()
    pieces = dataclasses.replace(run)
    object.__setattr__(pieces, "accumulate", 2)
    assert pieces.identity() == run.identity()


def test_a_new_field_changes_the_identity_until_somebody_decides_otherwise():
    @config
    class Wider(Run):
        later: str = "none"

    fields = {field.name: getattr(tiny.run(), field.name) for field in dataclasses.fields(Run)}
    run, other = Wider(**fields), Wider(**fields, later="project")
    assert len({tiny.run().identity(), run.identity(), other.identity()}) == 3


def test_a_field_that_came_later_leaves_former_runs_what_they_were():
    """Fingerprint of this recipe before there were rules."""
    assert tiny.run().identity() == "be576a757ea30bbc"


def test_a_new_field_of_a_group_changes_the_identity_too():
    @config
    class Later(Exposure):
        delay: int = 0

    run, later = tiny.run(), tiny.run()
    exposure = {
        field.name: getattr(run.exposure, field.name) for field in dataclasses.fields(Exposure)
    }
    object.__setattr__(later, "exposure", Later(**exposure))
    assert later.identity() != run.identity()


def test_the_recipe_is_all_that_the_config_says_but_what_is_left_out():
    tree = to_dict(tiny.run())
    recipe = tiny.run().recipe()
    assert recipe.keys() == tree.keys() - LEFT_OUT - LATER.keys() | {"order_version"}
    for group, names in LATER_OF.items():
        for name in names:
            del tree[group][name]
    for name in regression.LATER:
        del tree["setting"][name]
    assert all(recipe[name] == tree[name] for name in recipe.keys() & tree.keys())
    published = dataclasses.replace(tiny.run(), optimizer=Optimizer(warmup=4, warmup_from=0.1))
    assert published.recipe()["optimizer"]["warmup_from"] == 0.1


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"batch": 0}, "batch: expected at least 1, got 0"),
        ({"stream": -1}, "stream: expected at least 0, got -1"),
        ({"accumulate": 2}, "accumulate: a regression setting draws its inputs at once; expected"),
    ],
)
def test_what_no_run_can_have_is_one_line(fields, message):
    with pytest.raises(ConfigError) as caught:
        Run(**fields)
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("field", "value", "least"),
    [
        ("measure.every", -2, 1),
        ("measure.per_doubling", 0, 1),
        ("measure.cycles", -1, 0),
        ("snapshots.every", -1, 0),
        ("checkpoints.keep", 0, 1),
        ("steps", 0, 1),
    ],
)
def test_ranges_of_groups_are_one_line_too(field, value, least):
    with pytest.raises(ConfigError) as caught:
        override(Run(), {field: str(value)})
    assert str(caught.value) == f"{field}: expected at least {least}, got {value}"


@pytest.mark.parametrize(
    ("field", "value"),
    [("steps", 2**31), ("measure.every", 2**31), ("checkpoints.every", 10**12)],
)
def test_numbers_that_devices_cannot_count_to_are_refused(field, value):
    with pytest.raises(ConfigError, match=f"{field}: expected at most 2147483647, got {value}"):
        override(Run(), {field: str(value)})
    override(Run(), {"steps": str(2**31 - 1)})


def test_pieces_divide_the_batch():
    with pytest.raises(ConfigError, match="accumulate: expected a divisor of batch = 8, got 3"):
        Run(setting=tiny_text.language(), batch=8, accumulate=3)


def test_products_are_no_finer_than_the_arrays():
    assert Run().matmul_precision == "float32"
    assert Run(precision="bfloat16").matmul_precision == "bfloat16"


def test_streams_have_other_schedules_and_other_inputs():
    one, other = tiny.run(), tiny.run(stream=1)
    assert one.schedule().rows(9).tolist() != other.schedule().rows(9).tolist()
    assert data_key(one.seeds.batches) != data_key(other.seeds.batches)


def write(folder, named):
    """Token files by their names below a folder."""
    for i, name in enumerate(named):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        np.random.default_rng(i).integers(0, 200, 400).astype("<u2").tofile(path)


def recipe(folder, **fields):
    corpus = tiny_text.corpus(f"{folder}/*/*.npy", **fields)
    return tiny_text.run(tiny_text.language(corpus=corpus)).recipe()


def windows_permuted(folder):
    path = folder / "a/0.npy"
    windows = np.fromfile(path, "<u2").reshape(-1, tiny_text.WINDOW)
    np.roll(windows, 1, axis=0).tofile(path)


def another_text(folder):
    for path in folder.glob("*/*.npy"):
        np.random.default_rng(9).integers(0, 200, 400).astype("<u2").tofile(path)


WHY = {
    "permuted": (windows_permuted, "other bytes in a/0.npy"),
    "another": (another_text, "other bytes in a/0.npy, and 3 more"),
    "renamed": (lambda folder: (folder / "a").rename(folder / "aa"), "a/0.npy is now aa/0.npy, and"
                " 1 more"),
    "reordered": (lambda folder: (folder / "a").rename(folder / "z"), "the same files in another or"
                  "der: b/0.npy now stands where a/0.npy stood, and 3 more"),
    "removed": (lambda folder: (folder / "a/0.npy").unlink(), "3 files where there were 4"),
}  # fmt: skip


@pytest.mark.parametrize("case", WHY)
def test_a_change_of_the_text_is_one_line_with_its_reason(case, tmp_path):
    write(tmp_path, ["a/0.npy", "a/1.npy", "b/0.npy", "b/1.npy"])
    before, (act, reason) = recipe(tmp_path), WHY[case]
    act(tmp_path)
    [line] = changes(before, recipe(tmp_path))
    assert line.startswith("setting.corpus.identity: '")
    assert line.endswith(f"(the text has changed: {reason})")


def test_a_corpus_that_moves_as_a_whole_is_the_same(tmp_path):
    for place in ("x", "y"):
        write(tmp_path / place, ["a/0.npy", "b/0.npy"])
    assert not changes(recipe(tmp_path / "x"), recipe(tmp_path / "y"))


def test_other_fields_have_lines_of_their_own(tmp_path):
    write(tmp_path, ["a/0.npy"])
    before, after = recipe(tmp_path), recipe(tmp_path, order="sequential")
    assert changes(before, after) == ["setting.corpus.order: 'shuffled' -> 'sequential'"]
    assert changes(tiny.run().recipe(), tiny.run(batch=64).recipe()) == ["batch: 32 -> 64"]
    assert changes(before, tiny.run().recipe())  # no text at all
