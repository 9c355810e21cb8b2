"""Files that are no ids of the type they are read as, and files that only look odd."""

import numpy as np
import pytest
from etils import epath
from hypothesis import given
from hypothesis import strategies as st

from rare_retention.config import ConfigError
from rare_retention.errors import UserError
from rare_retention.text import appearance, token_files
from rare_retention.text.corpus import Corpus, open_corpus
from rare_retention.text.token_files import TokenFile


def ids(count=6000, below=50280, seed=0):
    """Ids as frequent as the words of a text are: most are small."""
    drawn = np.random.default_rng(seed).zipf(1.3, count)
    return np.minimum(drawn, below - 1)


def opened(folder, content, **fields):
    (folder / "a.npy").write_bytes(content)
    return open_corpus(Corpus(path=str(folder), held_out=1, **fields), 16)


ENGLISH = "To be, or not to be: that is the question.\n" * 400
FRENCH = "Être, ou ne pas être : c'est là la question.\n" * 400
WRONG = {
    "uint32": (ids().astype("<u4"), {}, "looks like uint32 ids, read as uint16; set corpus.dtype="),
    "large uint32": (
        ids(below=128256).astype("<u4"),
        {"end_of_document": 0},
        "looks like uint32 ids, read as uint16",
    ),
    "small vocabulary": (
        np.random.default_rng(0).integers(0, 60, 6000).astype("<u4"),
        {"vocabulary": 60, "end_of_document": 0},
        "looks like uint32 ids",
    ),
    "int64": (ids().astype("<i8"), {}, "looks like 64-bit ids; convert it with `numpy.fromfile"),
    "int64 as uint32": (ids().astype("<i8"), {"dtype": "uint32"}, "looks like 64-bit ids"),
    "uint16": (ids().astype("<u2"), {"dtype": "uint32"}, "looks like uint16 ids, read as uint32"),
    "big-endian": (
        ids(below=32000).astype(">u2"),
        {"vocabulary": 32000, "end_of_document": 0},
        "holds ids in big-endian order",
    ),
    "float32": (ids().astype("<f4"), {"dtype": "uint32"}, "holds token id 1,"),
    "text": (ENGLISH.encode(), {}, "holds text, not token ids; make a corpus of it with `python"),
    "longer letters": (FRENCH.encode(), {}, "holds text, not token ids"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_token_file_is_refused_when_it_is_opened(case, tmp_path):
    content, fields, message = WRONG[case]
    content = content if isinstance(content, bytes) else content.tobytes()
    with pytest.raises(UserError) as caught:
        opened(tmp_path, content[: len(content) // 8 * 8], **fields)
    assert f"{tmp_path}/a.npy: {message}" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_a_part_that_is_wrong_is_seen_in_every_fourth(place, tmp_path):
    """A file that was joined from others, of which one had too large ids."""
    content = ids(400_000, below=1000).astype("<u2")
    last = len(content) - 4096
    content[last * place // 3 + 5] = 2000
    with pytest.raises(UserError, match=r"a\.npy: holds token id 2,000, but the vocabulary has 1,"):
        opened(tmp_path, content.tobytes(), vocabulary=1000, end_of_document=0)


HEADED = {
    "gzip": (b"\x1f\x8b\x08\x00", "is gzip-compressed, but token files are raw ids; unpack it, or"),
    "zstd": (b"\x28\xb5\x2f\xfd", "is zstandard-compressed"),
    "npz": (b"PK\x03\x04", "is a zip archive"),
    "parquet": (b"PAR1", "is a parquet file"),
    "index": (b"MMIDIDX\x00", "is a Megatron index"),
}


@pytest.mark.parametrize("case", HEADED)
def test_files_of_other_formats_are_named(case, tmp_path):
    start, message = HEADED[case]
    with pytest.raises(UserError) as caught:
        opened(tmp_path, start + ids().astype("<u2").tobytes())
    assert f"a.npy: {message}" in str(caught.value)


@pytest.mark.parametrize(("kind", "wanted"), [("uint16", "uint16"), ("int64", "uint32")])
def test_the_advice_about_headers_loses_no_id(kind, wanted, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    saved = np.array([1, 2, 65535 if kind == "uint16" else 100_000], kind)
    np.save("a.npy", saved)
    with pytest.raises(UserError, match=f"set corpus.dtype='{wanted}'") as caught:
        token_files.scan([epath.Path("a.npy")], "uint16")
    exec(str(caught.value).split("`")[1], {"numpy": np})
    assert np.fromfile("raw.npy", f"<{np.dtype(wanted).str[1:]}").tolist() == saved.tolist()


@given(st.integers(0, 2**32 - 1), st.sampled_from([30, 300, 50280]), st.integers(1, 3000))
def test_ids_that_are_right_pass(seed, below, count):
    drawn = np.random.default_rng(seed)
    for found in (drawn.integers(0, below, count), np.minimum(drawn.zipf(1.5, count), below - 1)):
        for dtype in ("uint16", "uint32"):
            file = TokenFile(epath.Path("x"), dtype, count)
            content = found.astype(token_files.little_endian(dtype)).tobytes()
            assert said(file, content, below) == ""


def said(file, content, vocabulary):
    """What is found wrong with a file of this content."""

    class Read(TokenFile):
        def piece(self, start, stop):
            return content[start:stop]

    return appearance._fault(Read(*file), vocabulary)


@pytest.mark.parametrize(
    "odd", [np.zeros(6000), np.arange(6000), np.arange(6000) % 2 * 7, np.full(6000, 300)]
)
def test_odd_ids_pass(odd, tmp_path):
    assert opened(tmp_path, odd.astype("<u2").tobytes()).tokens == 6000


def test_a_vocabulary_beyond_the_type_is_named(tmp_path):
    with pytest.raises(ConfigError) as caught:
        opened(tmp_path, ids().astype("<u2").tobytes(), vocabulary=70_000)
    assert caught.value.field == "corpus.vocabulary"
    assert "70,000 ids are more than uint16 has; expected at most 65,536" in caught.value.message


def test_of_many_remote_files_some_are_looked_at(monkeypatch):
    read = []

    class Remote(TokenFile):
        def piece(self, start, stop):
            read.append(self.path.name)
            return bytes(stop - start)

    files = [Remote(epath.Path(f"gs://b/{i}.npy"), "uint16", 1000) for i in range(300)]
    appearance.check(files, 10)
    assert len(set(read)) == 16 and {"0.npy", "299.npy"} <= set(read)
