import json

import buckets
import numpy as np
import pytest
from etils import epath
from hypothesis import given
from hypothesis import strategies as st

from rare_retention.config import ConfigError
from rare_retention.errors import UserError
from rare_retention.text import appearance, blocks, digests, known, preparation, token_files
from rare_retention.text.blocks import shared
from rare_retention.text.corpus import Corpus, Windows, _open, open_corpus
from rare_retention.text.documents import TextFiles
from rare_retention.text.preparation import prepare
from rare_retention.text.token_files import TokenFile
from rare_retention.text.tokenizing import Bpe

SIZES = (25, 3, 40, 10)  # tokens of the files: 2, 0, 4 and 1 windows of 10


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    """Four files of ids 0, 1, ... and their folder."""
    folder = tmp_path_factory.mktemp("raw")
    ids = np.arange(sum(SIZES), dtype="<u2")
    for i, piece in enumerate(np.split(ids, np.cumsum(SIZES)[:-1])):
        piece.tofile(folder / f"{i}.npy")
    return folder


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared")
    for i in range(6):
        (folder / f"{i}.txt").write_text(f"line {i}, and {i} + {i} = {2 * i}\n" * 9)
    files = sorted(epath.Path(folder).glob("*.txt"))
    output = epath.Path(folder / "corpus")
    return output, prepare(TextFiles("x", files), Bpe(270), output, shard_documents=2, quiet=True)


STARTS = np.array([0, 10, 28, 38, 48, 58, 68])  # first ids of the windows


def windows(starts):
    return np.array(starts)[:, None] + np.arange(10)


@pytest.mark.parametrize("local", [True, False])
def test_windows_run_through_files_in_order(raw, local, monkeypatch):
    monkeypatch.setattr(token_files, "is_local", lambda _: local)
    found = open_corpus(Corpus(path=str(raw), held_out=2), 10)
    assert (found.count, found.tokens, found.window) == (7, 78, 10)
    assert (found.vocabulary, found.end_of_document) == (50280, 50279)  # AI2's
    assert found.tokenizer is None and found.references == {}
    index = np.array([6, 0, 3, 3, 1, 2])
    tokens = found.gather(index)
    assert tokens.dtype == np.uint16  # as the files
    assert found.held_out().dtype == np.int32
    np.testing.assert_array_equal(tokens, windows(STARTS[index]))
    assert found.gather(index[:0]).shape == (0, 10)
    for beyond in (-1, 7):
        with pytest.raises(IndexError):
            found.gather(np.array([0, beyond]))


def test_one_file_is_read_like_many(raw):
    found = open_corpus(Corpus(path=f"{raw}/2.npy", held_out=0), 10)
    np.testing.assert_array_equal(found.gather(np.array([3, 0])), windows([58, 28]))
    assert found.held_out().shape == (0, 10)


def test_windows_need_no_copy_on_a_cpu(raw):
    """JAX takes memory as it is where it begins at a multiple of 64 bytes."""
    found = open_corpus(Corpus(path=str(raw), held_out=2), 10)
    for rows in range(1, 20):
        assert found.gather(np.arange(rows) % 7).ctypes.data % 64 == 0


def test_sequential_order_is_that_of_the_files_each_epoch(raw):
    found = open_corpus(Corpus(path=str(raw), order="sequential", held_out=2), 10)
    np.testing.assert_array_equal(found.held_out(), windows(STARTS[[1, 5]]))
    for seed in (0, 1):
        tokens = found.train(np.arange(10), seed)
        np.testing.assert_array_equal(tokens, windows(STARTS[[0, 2, 3, 4, 6] * 2]))


@given(st.integers(0, 6), st.integers(0, 100), st.integers(0, 5))
def test_each_epoch_visits_every_window_but_those_held_out(raw, held_out, seed, epoch):
    found = open_corpus(Corpus(path=str(raw), held_out=held_out), 10)
    kept = found.held_out()[:, 0].tolist()
    size = 7 - held_out
    shown = found.train(np.arange(epoch * size, (epoch + 1) * size), seed)[:, 0].tolist()
    assert len(set(kept)) == held_out
    assert sorted(shown + kept) == STARTS.tolist()


def test_shuffled_orders_differ_by_seed_and_epoch(raw):
    found = open_corpus(Corpus(path=str(raw), held_out=0), 3)
    assert found.count == 25
    orders = [found.train(np.arange(25) + 25 * e, s)[:, 0] for s in (0, 1) for e in (0, 1)]
    assert len({tuple(order) for order in orders}) == 4
    # A batch astride two epochs holds the end of one and the start of the next.
    np.testing.assert_array_equal(
        found.train(np.arange(20, 30), 1)[:, 0], [*orders[2][20:], *orders[3][:5]]
    )


def test_held_out_windows_are_spread_evenly(raw):
    found = open_corpus(Corpus(path=str(raw), held_out=5), 1)
    assert found.held_out()[:, 0].tolist() == [7, 23, 39, 54, 70]


def test_identity_tells_corpora_apart_and_not_where_they_stand(raw, tmp_path):
    def identity(path):
        return open_corpus(Corpus(path=str(path), held_out=0), 3).identity

    assert len(identity(raw)) == 16 and int(identity(raw), 16)
    for file in raw.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    assert identity(tmp_path) == identity(raw)
    assert identity(f"{raw}/[02].npy") != identity(raw)
    (tmp_path / "4.npy").write_bytes(b"1234567890")
    assert identity(tmp_path) != identity(raw)


def test_a_file_that_is_written_again_is_another_text_in_the_same_process(raw, tmp_path):
    corpus = Corpus(path=str(tmp_path), held_out=0)
    for file in raw.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    before = open_corpus(corpus, 10)
    assert before.gather(np.array([3]))[0, 0] == 38
    ids = np.fromfile(tmp_path / "2.npy", "<u2").reshape(4, 10)
    ids[::-1].tofile(tmp_path / "2.new")
    (tmp_path / "2.new").rename(tmp_path / "2.npy")  # maps of the former file still show it
    after = open_corpus(corpus, 10)
    assert after.gather(np.array([3]))[0, 0] == 48
    assert after.identity != before.identity


def folders(tmp_path, *named):
    """A corpus of two folders: a glob of both."""
    for name, content in zip(named, (bytes(40), bytes(range(40))), strict=True):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "0.npy").write_bytes(content)
    return open_corpus(Corpus(path=f"{tmp_path}/*/0.npy", held_out=0), 10)


def test_folders_of_a_glob_are_part_of_the_identity_but_not_what_is_around_them(tmp_path):
    found = [
        folders(tmp_path / place, *named)
        for place, named in [("x", "ab"), ("y", "ab"), ("z", "ac"), ("w", "cb")]
    ]
    assert [line.split()[0] for line in found[0].text] == ["a/0.npy", "b/0.npy"]
    assert found[0].identity == found[1].identity
    assert len({each.identity for each in found}) == 3


def test_the_type_of_the_ids_is_part_of_the_identity(tmp_path):
    np.tile([7, 0], 5).astype("<u2").tofile(tmp_path / "a.npy")
    given = {"path": str(tmp_path), "held_out": 0}
    identities = {open_corpus(Corpus(dtype=d, **given), 1).identity for d in ("uint16", "uint32")}
    assert len(identities) == 2


def test_a_prepared_corpus_describes_itself(prepared):
    output, contents = prepared
    found = open_corpus(Corpus(path=str(output), held_out=1), 8)
    assert found.vocabulary == contents.vocabulary == 270
    assert found.end_of_document == contents.end_of_document == 0
    assert [line.split() for line in found.text] == [
        [part.name, part.digest[:16]] for part in contents.files
    ]
    assert found.tokenizer == output / "tokenizer.json"
    assert found.references == {"increase": 0, "sum": 54}
    assert found.tokens == contents.tokens and len(found.files) == 3
    # A part of it keeps its ids, but its text was not counted.
    part = open_corpus(Corpus(path=f"{output}/part-00001.npy", held_out=1), 8)
    assert (part.vocabulary, part.end_of_document, part.references) == (270, 0, {})
    assert part.identity != found.identity


def test_entropy_is_that_of_the_counts(prepared, monkeypatch):
    monkeypatch.setattr(known, "SETTLED", 1e9)  # counted each time
    found = open_corpus(Corpus(path=str(prepared[0]), held_out=0), 8)
    tokens = found.gather(np.arange(found.count))
    shares = np.unique(tokens, return_counts=True)[1] / tokens.size
    exact = -(shares * np.log(shares)).sum()
    assert found.unigram_entropy() == pytest.approx(exact, rel=1e-12)
    monkeypatch.setattr("rare_retention.text.corpus._BLOCK", 24)
    assert found.unigram_entropy() == pytest.approx(exact, rel=1e-12)
    monkeypatch.setattr("rare_retention.text.corpus._COUNTED", tokens.size // 2)
    assert found.unigram_entropy() == pytest.approx(exact, rel=0.1)
    assert found.unigram_entropy() != pytest.approx(exact, rel=1e-12)


def test_opening_twice_opens_once(raw):
    assert open_corpus(Corpus(path=str(raw)), 1) is open_corpus(Corpus(path=str(raw)), 1)


BAD_FIELDS = {
    "held_out": ({"path": "x", "held_out": -1}, "expected 0 windows or more, got -1"),
    "vocabulary": ({"vocabulary": 256}, "expected 257 ids or more, got 256"),
    "dtype": ({"dtype": "uint32"}, "the embedded corpus has its own"),
    "end_of_document": ({"end_of_document": 0}, "the embedded corpus has its own"),
}


@pytest.mark.parametrize("field", BAD_FIELDS)
def test_bad_fields_are_named(field):
    values, message = BAD_FIELDS[field]
    with pytest.raises(ConfigError) as caught:
        Corpus(**values)
    assert caught.value.field == field and message in caught.value.message


BAD = {
    "few": ({"held_out": 7}, 10, "corpus.held_out: 7 of the 7 windows of 10 tokens in {} leave"),
    "long": (
        {},
        41,
        "{}: no file has a whole window of 41 tokens; the longest has 40",
    ),
    "end": ({"vocabulary": 80}, 10, "corpus.end_of_document: expected an id below the vocabulary"),
    "odd": ({"dtype": "uint32"}, 10, "0.npy: 50 bytes are no whole number of uint32 tokens"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_a_corpus_cannot_give_is_one_line(case, raw):
    values, window, message = BAD[case]
    with pytest.raises(UserError) as caught:
        open_corpus(Corpus(path=str(raw), **values), window)
    assert message.format(raw) in str(caught.value) and "\n" not in str(caught.value)


def test_ids_beyond_the_vocabulary_name_their_file(raw, monkeypatch):
    """Also those that no sample of the files had."""
    monkeypatch.setattr(appearance, "check", lambda *_: None)
    values = {"held_out": 0, "vocabulary": 60, "end_of_document": 0}
    for path in (raw, raw / "2.npy"):
        found = open_corpus(Corpus(path=str(path), **values), 10)
        with pytest.raises(UserError) as caught:
            found.gather(np.arange(found.count - (path == raw)))
        assert f"{raw}/2.npy: holds token id 67, but the vocabulary has 60" in str(caught.value)


def test_an_empty_corpus_is_refused(tmp_path):
    (tmp_path / "a.npy").touch()
    with pytest.raises(UserError, match=r"corpus\.path: .*: holds no tokens"):
        open_corpus(Corpus(path=str(tmp_path)), 10)


def damage(output, tmp_path, name, change):
    for file in output.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    change(tmp_path / name)
    with pytest.raises(UserError) as caught:
        open_corpus(Corpus(path=str(tmp_path), held_out=1), 8)
    return str(caught.value)


def turned(path):
    """The same tokens, in another order."""
    np.fromfile(path, "<u2")[::-1].tofile(path)


def test_a_large_prepared_corpus_is_known_by_its_own_digests_and_by_its_bytes(
    prepared, tmp_path, monkeypatch
):
    """Too large to be hashed whole, that is."""
    for name, value in {"WHOLE": 0, "BLOCK": 2, "LEAST": 3, "BLOCKS": 9}.items():
        monkeypatch.setattr(digests, name, value)
    files = sorted(prepared[0].parent.glob("*.txt"))
    source, output = TextFiles("x", files), epath.Path(tmp_path)
    contents = prepare(source, Bpe(270), output, shard_documents=2, quiet=True)
    corpus = Corpus(path=str(tmp_path), held_out=1)
    first = open_corpus(corpus, 8).identity
    turned(tmp_path / "part-00001.npy")
    with pytest.raises(UserError, match=r"part-00001\.npy: holds other bytes than corpus\.json"):
        open_corpus(corpus, 8)
    turned(tmp_path / "part-00001.npy")
    assert open_corpus(corpus, 8).identity == first
    about, digest = tmp_path / "corpus.json", contents.files[1].digest
    about.write_text(about.read_text().replace(digest, digest[::-1]))
    _open.cache_clear()
    assert open_corpus(corpus, 8).identity != first


def test_a_known_corpus_starts_by_reading_little(tmp_path, monkeypatch):
    """Neither its digests nor the entropy of its words are found out again."""
    monkeypatch.setattr(known, "SETTLED", -60.0)
    path = tmp_path / "zeros.npy"
    with path.open("wb") as file:
        file.truncate(160 * 10**6)
    amounts = []
    read, piece = TokenFile.read, TokenFile.piece
    monkeypatch.setattr(TokenFile, "read", lambda *a: (amounts.append(a[2].nbytes), read(*a))[1])
    monkeypatch.setattr(TokenFile, "piece", lambda *a: (amounts.append(a[2] - a[1]), piece(*a))[1])

    def start():
        """Bytes that are read before training."""
        _open.cache_clear()
        amounts.clear()
        windows = open_corpus(Corpus(path=str(path), held_out=64), 4096)
        assert windows.unigram_entropy() == 0 and not windows.held_out().any()
        return sum(amounts), windows.identity

    (first, identity), (second, again) = start(), start()
    assert first > 100 * 10**6 and second < 64 * 10**6 and identity == again
    assert second == 64 * 4096 * 2  # what is held out


def test_a_damaged_copy_of_a_prepared_corpus_is_refused(prepared, tmp_path):
    output, contents = prepared
    for case in ("missing", "short", "tokenizer", "bytes"):
        (tmp_path / case).mkdir()
    line = damage(output, tmp_path / "missing", "part-00001.npy", lambda path: path.unlink())
    assert "part-00001.npy: is missing; copy the corpus again" in line
    line = damage(output, tmp_path / "short", "part-00001.npy", lambda path: path.write_bytes(b""))
    assert f"0 tokens as uint16, but corpus.json says {contents.files[1].tokens:,}" in line
    line = damage(output, tmp_path / "bytes", "part-00001.npy", turned)
    assert "part-00001.npy: holds other bytes than corpus.json tells of; copy the corpus" in line
    line = damage(output, tmp_path / "tokenizer", "tokenizer.json", lambda path: path.unlink())
    assert "tokenizer.json: is missing, but corpus.json names it" in line


def test_the_embedded_corpus_is_prepared_once(tmp_path, monkeypatch, capsys):
    text = tmp_path / "module.py"
    text.write_text("def f(x):\n    return x + x\n" * 50)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(
        preparation, "standard_library", lambda: TextFiles("stdlib", [epath.Path(text)])
    )
    corpus = Corpus(vocabulary=260, held_out=3)
    first = open_corpus(corpus, 16)
    assert isinstance(first, Windows) and first.vocabulary == 260
    assert "preparing the embedded corpus, once, in" in capsys.readouterr().err
    _open.cache_clear()
    assert open_corpus(corpus, 16).identity == first.identity
    assert capsys.readouterr().err == ""
    [folder] = (tmp_path / "cache/rare_retention/corpora").iterdir()
    assert json.loads((folder / "corpus.json").read_text())["recipe"]["source"] == "stdlib"


@pytest.fixture
def remote(raw):
    """The same four files on gs://b/raw."""
    with buckets.bucket() as store:
        for file in raw.iterdir():
            store.put(f"b/raw/{file.name}", file.read_bytes())
        yield store
    _open.cache_clear()
    shared.cache_clear()


@pytest.mark.parametrize("order", ["shuffled", "sequential", "olmo"])
@pytest.mark.parametrize("mib", [1, 1024])
def test_a_corpus_in_a_bucket_is_the_same_corpus(raw, remote, order, mib, monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK", 40)
    fields = {"order": order, "held_out": 2}
    here = open_corpus(Corpus(path=str(raw), **fields), 10)
    there = open_corpus(Corpus(path="gs://b/raw", cache_mib=mib, **fields), 10)
    assert there.identity == here.identity and there.text == here.text
    np.testing.assert_array_equal(there.held_out(), here.held_out())
    for start in (0, 3, 11):
        places = np.arange(start, start + 6)
        np.testing.assert_array_equal(there.train(places, 1), here.train(places, 1))
    assert there.unigram_entropy() == here.unigram_entropy()


def test_a_bucket_is_asked_for_no_file_as_a_whole(remote):
    """Nor for more than a few bytes of each, but for what a digest needs."""
    ids = np.random.default_rng(0).integers(0, 2**15, 2**19).astype("<u2")
    for i in range(60):
        remote.put(f"b/large/{i:02}.npy", ids.tobytes())
    found = open_corpus(Corpus(path="gs://b/large", held_out=4), 128)
    sampled = digests.BLOCKS // 60 * digests.BLOCK
    assert remote.bytes < 60 * sampled + 2**20 and sampled < ids.nbytes / 2
    remote.asked.clear()
    found.train(np.arange(50), 0)
    assert remote.bytes < 60 * 2**20  # it fits into the memory, and comes by blocks
    found = open_corpus(Corpus(path="gs://b/large", held_out=4, cache_mib=1), 128)
    remote.asked.clear()
    found.train(np.arange(50), 0)
    assert remote.bytes == 50 * 256 and len(remote.asked) == 50


def test_an_id_beyond_the_vocabulary_is_said_of_a_bucket_too(remote, monkeypatch):
    monkeypatch.setattr(appearance, "check", lambda *_: None)
    values = {"held_out": 0, "vocabulary": 60, "end_of_document": 0}
    found = open_corpus(Corpus(path="gs://b/raw", **values), 10)
    with pytest.raises(UserError, match=r"gs://b/raw/2\.npy: holds token id 67, but"):
        found.gather(np.arange(found.count - 1))
