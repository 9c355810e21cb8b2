"""AI2's order of windows, computed and from a file, and lists of files."""

import hashlib

import numpy as np
import pytest
import tiny_text

from rare_retention.config import ConfigError
from rare_retention.text.corpus import open_corpus
from rare_retention.text.fixed_order import FixedOrder

# Windows, seed + epoch, how many AI2's loader keeps -> first numbers and a digest of all. Made by
# `IterableDataset._build_global_indices` of ai2-olmo 0.6.0.
GOLDEN = {
    (1000, 6198, 1000): ([615, 832, 881, 9, 648, 523], "fc4c978b6e6405e6"),
    (1000, 6199, 1000): ([363, 586, 975, 648, 897, 311], "e66817af8979e309"),
    (1003, 6198, 1000): ([618, 1000, 317, 9, 829, 670], "e3c928b152a401f8"),
    (123457, 13, 123457): ([118070, 119475, 31021, 44497, 121853, 47568], "0f7212acdedd9c91"),
}


@pytest.mark.parametrize("case", GOLDEN)
def test_the_order_is_that_of_ai2_s_loader(case):
    count, seed, kept = case
    start, digest = GOLDEN[case]
    places = np.arange(kept)
    order = FixedOrder(count, 0, seed).at(np.zeros_like(places), places)
    assert order[:6].tolist() == start
    assert hashlib.sha256(order.astype("<u4").tobytes()).hexdigest()[:16] == digest


def test_the_last_windows_of_the_first_epoch_are_held_out_of_all():
    own = FixedOrder(1000, 40, 6198)
    places = np.arange(own.length)
    first, second = (own.at(np.full_like(places, epoch), places) for epoch in (0, 1))
    assert first.tolist() == FixedOrder(1000, 0, 6198).at(0 * places, places).tolist()
    whole = FixedOrder(1000, 0, 6199)
    rest = whole.at(np.zeros(1000, int), np.arange(1000))
    held = set(own.held_out().tolist())
    assert second.tolist() == [number for number in rest.tolist() if number not in held]
    assert sorted([*first.tolist(), *held]) == list(range(1000))


def test_a_batch_may_lie_astride_two_epochs():
    own = FixedOrder(10, 2, 6198)
    epoch, rank = np.divmod(np.arange(6, 12), own.length)
    each = [int(own.at(epoch[[i]], rank[[i]])[0]) for i in range(6)]
    assert own.at(epoch, rank).tolist() == each


@pytest.fixture
def corpus(tmp_path):
    """f(...) -> a corpus of 93 windows of 16 tokens in nested folders."""
    for i, name in enumerate(("b/x", "a/y", "a/z")):
        (tmp_path / "data" / name).mkdir(parents=True)
        tiny_text.write_tokens(tmp_path / "data" / name, sizes=(500,), seed=i)
    return lambda path="data", **fields: tiny_text.corpus(tmp_path / path, **fields)


def test_files_of_nested_folders_are_read_in_the_order_of_their_names(corpus):
    own = open_corpus(corpus(order="sequential"), 16)
    assert [file.path.parent.name for file in own.files] == ["y", "z", "x"] and own.count == 93


def test_a_list_says_the_order_of_files(corpus, tmp_path):
    names = ["data/b/x/0.npy", str(tmp_path / "data/a/y/0.npy")]
    (tmp_path / "files.txt").write_text("# AI2's order\n" + "\n".join(names) + "\n\n")
    own = open_corpus(corpus("files.txt"), 16)
    assert [file.path.parent.name for file in own.files] == ["x", "y"]
    (tmp_path / "gone.txt").write_text("data/c.npy\n")
    with pytest.raises(ConfigError, match=r"data/c\.npy: there is no such file, but .*gone"):
        open_corpus(corpus("gone.txt"), 16)
    (tmp_path / "none.txt").write_text("\n")
    with pytest.raises(ConfigError, match=r"none\.txt: names no file"):
        open_corpus(corpus("none.txt"), 16)


def test_windows_are_trained_in_that_order(corpus, tmp_path):
    own = open_corpus(corpus(order="olmo", held_out=3), 16)
    plain = open_corpus(corpus(order="sequential", held_out=0), 16)
    order = np.random.Generator(np.random.PCG64(seed=6198))
    numbers = np.arange(93, dtype=np.uint32)
    order.shuffle(numbers)
    every = plain.train(np.arange(93), 0)
    np.testing.assert_array_equal(own.train(np.arange(90), 7), every[numbers[:90]])
    np.testing.assert_array_equal(own.held_out(), every[np.sort(numbers[90:])])
    path = tmp_path / "global_indices.npy"
    numbers[:88].astype("<u4").tofile(path)  # as of a job whose ranks leave a remainder
    read = open_corpus(corpus(order="olmo", held_out=3, order_file=str(path)), 16)
    np.testing.assert_array_equal(read.train(np.arange(85), 0), every[numbers[:85]])
    assert read.identity != own.identity


BAD = {
    "another window": (
        np.arange(93, dtype="<u4") + 1,
        r"93 windows up to 93, but the corpus",
    ),
    "twice": (np.zeros(9, "<u4"), r"names a window twice"),
    "empty": (np.zeros(0, "<u4"), r"numbers 0 windows up to none"),
    "odd": (np.zeros(3, "u1"), r"3 bytes are no whole number of uint32"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_file_that_is_no_order_of_these_windows_is_refused(corpus, tmp_path, case):
    numbers, message = BAD[case]
    numbers.tofile(tmp_path / "order")
    with pytest.raises(ConfigError, match=message) as caught:
        open_corpus(corpus(order="olmo", order_file=str(tmp_path / "order")), 16)
    assert "\n" not in str(caught.value)


def test_its_fields_are_refused_elsewhere_and_left_out_of_older_recipes(corpus):
    with pytest.raises(ConfigError, match=r"order = 'olmo' alone reads it; expected its def"):
        corpus(order_seed=1)
    recipe = tiny_text.language().recipe()["corpus"]
    assert "order_seed" not in recipe and "order_file" not in recipe
