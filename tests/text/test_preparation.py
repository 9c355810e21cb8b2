import json
import subprocess
import sys

import numpy as np
import pytest
from etils import epath

from rare_retention.config import to_dict
from rare_retention.errors import UserError
from rare_retention.record.files import read_json
from rare_retention.text import digests, preparation
from rare_retention.text.corpus import Corpus, open_corpus
from rare_retention.text.documents import TextFiles
from rare_retention.text.preparation import embedded, prepare
from rare_retention.text.token_files import read_contents
from rare_retention.text.tokenizing import Bpe, TokenizerFile, load


class Texts(list):
    """Documents in memory, which remember those that were read."""

    name, digest, content = "texts", "0123456789abcdef", ""
    read = ()

    def __getitem__(self, index):
        self.read = (*self.read, index)
        return super().__getitem__(index)


TEXTS = ["one fish", "", "two fish, 1 + 2 = 3", "sales increased from 3 to 4", "é" * 40]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    path = epath.Path(tmp_path_factory.mktemp("tokenizer") / "tokenizer.json")
    path.write_text(Bpe(270).text(Texts(TEXTS)))
    return TokenizerFile(path)


def make(source, output, texts=TEXTS, size=2):
    documents = Texts(texts)
    folder = epath.Path(output)
    return documents, prepare(documents, source, folder, shard_documents=size, quiet=True)


def test_documents_become_files_of_raw_tokens(tokenizer, tmp_path):
    output = tmp_path / "new" / "corpus"
    _, contents = make(tokenizer, output)
    assert sorted(path.name for path in output.iterdir()) == [
        "corpus.json", "part-00000.npy", "part-00001.npy", "part-00002.npy", "tokenizer.json"
    ]  # fmt: skip
    assert contents == read_contents(epath.Path(output))
    assert [part.documents for part in contents.files] == [1, 2, 1] and contents.documents == 4
    ids = np.concatenate([np.fromfile(output / part.name, "<u2") for part in contents.files])
    assert len(ids) == contents.tokens == sum(part.tokens for part in contents.files)
    assert ids[-1] == contents.end_of_document == 0 and ids.max() < contents.vocabulary
    pieces = np.split(ids, np.flatnonzero(ids == 0) + 1)[:-1]
    decode = load(epath.Path(output / "tokenizer.json")).decode
    assert [decode(piece[:-1].tolist()) for piece in pieces] == [text for text in TEXTS if text]
    assert to_dict(contents.references) == {"increase": 1, "sum": 1}


def test_a_trained_corpus_is_the_same_each_time(tmp_path):
    for name in ("a", "b"):
        make(Bpe(265), tmp_path / name)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_large_vocabularies_take_four_bytes(tokenizer, tmp_path):
    path = epath.Path(tmp_path / "tokenizer.json")
    large = load(epath.Path(tokenizer_path(tokenizer, tmp_path)))
    large.add_tokens([f"~{i}~" for i in range(2**16)])
    large.save(str(path))
    _, contents = make(TokenizerFile(path), tmp_path / "out", ["~65535~ x"])
    assert contents.dtype == "uint32" and contents.vocabulary > 2**16
    ids = np.fromfile(tmp_path / "out" / "part-00000.npy", "<u4")
    assert ids.max() == contents.vocabulary - 1


def tokenizer_path(tokenizer, folder):
    path = folder / "small.json"
    path.write_text(tokenizer.text([]))
    return path


class Killed(Exception):
    """Stands for a kill."""


def stopped(source, folder, document):
    """Folder of a preparation that was killed when it came to a document."""

    class Breaks(Texts):
        def __getitem__(self, index):
            if index == document:
                raise Killed
            return super().__getitem__(index)

    with pytest.raises(Killed):
        prepare(
            Breaks(TEXTS),
            source,
            epath.Path(folder),
            shard_documents=2,
            most_lost=1.0,  # looks at no document before
            quiet=True,
        )
    return epath.Path(folder)


def test_a_stopped_preparation_goes_on(tokenizer, tmp_path, monkeypatch):
    whole = make(tokenizer, tmp_path / "whole")[1]
    output = stopped(tokenizer, tmp_path / "stopped", 3)
    assert not (output / "corpus.json").exists() and (output / "part-00000.npy").exists()
    documents, contents = make(tokenizer, output)
    assert documents.read == (2, 3, 4) and contents == whole
    again, contents = make(tokenizer, output)
    assert again.read == () and contents == whole
    assert not (output / "progress").exists()


def test_a_preparation_stopped_before_its_first_file_goes_on(tokenizer, tmp_path):
    (tmp_path / "progress").mkdir()
    assert make(tokenizer, tmp_path)[1].documents == 4


def test_another_recipe_is_refused_with_the_difference(tokenizer, tmp_path):
    output = tmp_path / "out"
    make(tokenizer, output)
    before = {path.name: path.read_bytes() for path in output.iterdir()}
    with pytest.raises(UserError, match=r"another recipe \(shard_documents: 2 -> 3\); choose"):
        make(tokenizer, output, size=3)
    with pytest.raises(UserError, match=r"tokenizer: 'file \w+' -> 'BPE, 265 ids, trained on"):
        make(Bpe(265), output)
    assert {path.name: path.read_bytes() for path in output.iterdir()} == before
    started = tmp_path / "started"
    (started / "progress").mkdir(parents=True)
    recipe = read_json(epath.Path(output / "corpus.json"))["recipe"] | {"source": "else"}
    (started / "progress" / "recipe.json").write_text(str(recipe).replace("'", '"'))
    with pytest.raises(UserError, match=r"\(source: 'else' -> 'texts'\)"):
        make(tokenizer, started)


def test_what_cannot_be_prepared_is_one_line(tokenizer, tmp_path):
    with pytest.raises(UserError, match="texts: holds no documents"):
        make(tokenizer, tmp_path / "new", [])
    assert not (tmp_path / "new").exists()
    with pytest.raises(UserError, match="texts: all documents are empty"):
        make(tokenizer, tmp_path / "empty", ["", ""])
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "part-00000.npy").write_bytes(b"mine")
    with pytest.raises(UserError, match="holds other files; choose another --output"):
        make(tokenizer, tmp_path / "mine")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written"):
        make(tokenizer, tmp_path / "file")


EMBED = """
from etils import epath
from rare_retention.text import preparation
from rare_retention.text.documents import TextFiles
preparation.standard_library = lambda: TextFiles("stdlib", [epath.Path({text!r})])
print(preparation.embedded(262))
"""


def test_two_processes_may_embed_at_once(tmp_path, monkeypatch):
    text = tmp_path / "module.py"
    text.write_text("def f(x):\n    return x\n" * 20_000)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    command = [sys.executable, "-c", EMBED.format(text=str(text))]
    both = [subprocess.Popen(command, text=True, stdout=subprocess.PIPE) for _ in range(2)]
    printed = {process.communicate(timeout=60)[0].strip() for process in both}
    assert [process.returncode for process in both] == [0, 0] and len(printed) == 1
    [folder] = (tmp_path / "cache/rare_retention/corpora").iterdir()
    assert str(folder) == printed.pop()
    assert embedded(262) == epath.Path(folder) and read_contents(epath.Path(folder)).tokens > 20_000


def test_the_slower_of_two_keeps_the_folder_of_the_faster(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def faster(documents, source, output, quiet):
        [name] = [path.name[1:].rsplit("-", 1)[0] for path in output.parent.glob(".*")]
        make(source, output.parent / name)
        return make(source, output)

    monkeypatch.setattr(preparation, "prepare", faster)
    monkeypatch.setattr(preparation, "standard_library", lambda: None)
    folder = embedded(262)
    assert read_contents(folder).documents == 4
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_an_embedded_corpus_that_cannot_be_made_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    home = tmp_path / "rare_retention" / "corpora"

    def broken(documents, source, output, quiet):
        broken.folder = output.name[1:].rsplit("-", 1)[0]
        (home / broken.folder).mkdir()
        (home / broken.folder / "stray").touch()

    monkeypatch.setattr(preparation, "prepare", broken)
    monkeypatch.setattr(preparation, "standard_library", lambda: None)
    with pytest.raises(UserError, match=r"cannot be made .* remove it"):
        embedded(262)
    assert [path.name for path in home.iterdir()] == [broken.folder]
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(UserError, match="cannot be written"):
        embedded(262)


def zeroed(path):
    path.write_bytes(bytes(path.stat().st_size))


def turned(path):
    path.write_bytes(path.read_bytes()[::-1])


def swapped(path):
    other = path.with_name("part-00002.npy")
    here, there = path.read_bytes(), other.read_bytes()
    path.write_bytes(there)
    other.write_bytes(here)


def one_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


DAMAGES = {
    "missing": ("part-00001.npy", lambda path: path.unlink()),
    "shorter": ("part-00001.npy", lambda path: path.write_bytes(path.read_bytes()[:-2])),
    "zeroed": ("part-00001.npy", zeroed),
    "turned": ("part-00001.npy", turned),
    "swapped": ("part-00001.npy", swapped),
    "one bit": ("part-00001.npy", one_bit),
    "no tokenizer": ("tokenizer.json", lambda path: path.unlink()),
    "another tokenizer": ("tokenizer.json", lambda path: path.write_text(Bpe(265).text(TEXTS))),
}


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("case", DAMAGES)
def test_damage_is_seen_by_runs_and_mended_by_preparing_again(
    case, large, tokenizer, tmp_path, monkeypatch
):
    """In a corpus that is hashed whole, and in one of which a sample is taken."""
    if large:
        for name, value in {"WHOLE": 0, "BLOCK": 2, "LEAST": 3, "BLOCKS": 3}.items():
            monkeypatch.setattr(digests, name, value)
    make(tokenizer, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    name, damage = DAMAGES[case]
    damage(tmp_path / name)
    corpus = Corpus(path=str(tmp_path), held_out=0)
    verify = large and case == "one bit"  # which a sample may miss: the named exception
    if verify:
        open_corpus(corpus, 2)
    else:
        with pytest.raises(UserError, match=r"launch\.prepare_corpus again, which mends it"):
            open_corpus(corpus, 2)
    folder = epath.Path(tmp_path)
    prepare(Texts(TEXTS), tokenizer, folder, shard_documents=2, verify=verify, quiet=True)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert open_corpus(corpus, 2).tokens


def test_a_source_that_has_changed_cannot_mend(tokenizer, tmp_path):
    make(tokenizer, tmp_path)
    zeroed(tmp_path / "part-00001.npy")
    with pytest.raises(UserError, match=r"part-00001\.npy: is damaged, and texts gives other tok"):
        make(tokenizer, tmp_path, [*TEXTS[:2], "x", *TEXTS[3:]])
    assert not any((tmp_path / "part-00001.npy").read_bytes())  # left as it was


def test_a_source_of_the_same_sizes_and_other_bytes_is_another(tokenizer, tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.txt").write_text(f"{name} fish " * 9)
    files = sorted(epath.Path(tmp_path).glob("*.txt"))

    def again(**more):
        source = TextFiles("mine", files)
        prepare(source, tokenizer, epath.Path(tmp_path / "out"), quiet=True, **more)

    again()
    (tmp_path / "b.txt").write_text("c fish " * 9)
    with pytest.raises(UserError, match=r"another recipe \(content: '\w+' -> '\w+'\)"):
        again()


def test_verifying_reads_the_source_where_a_sample_does_not_tell(tokenizer, tmp_path):
    """As with a data set, of which only the name is looked at."""
    make(tokenizer, tmp_path)
    other = Texts([*TEXTS[:2], "two fish, 1 + 2 = 4", *TEXTS[3:]])
    folder = epath.Path(tmp_path)
    prepare(other, tokenizer, folder, shard_documents=2, quiet=True)
    with pytest.raises(UserError, match="texts: of the documents 2 to 3 some have changed since"):
        prepare(other, tokenizer, folder, shard_documents=2, verify=True, quiet=True)


def test_a_part_that_was_damaged_before_the_last_one_was_made_is_made_again(tokenizer, tmp_path):
    whole = make(tokenizer, tmp_path / "whole")[1]
    output = stopped(tokenizer, tmp_path / "stopped", 4)
    turned(tmp_path / "stopped" / "part-00000.npy")
    assert make(tokenizer, output)[1] == whole
    assert open_corpus(Corpus(path=str(output), held_out=0), 2).tokens


def test_a_corpus_of_before_is_read_and_kept(tokenizer, tmp_path):
    """Its corpus.json knows no samples, texts and digests of tokenizers."""
    _, contents = make(tokenizer, tmp_path)
    told = to_dict(contents)
    del told["tokenizer_digest"], told["recipe"]["content"]
    for part in told["files"]:
        del part["sample"], part["texts"]
    (tmp_path / "corpus.json").write_text(json.dumps(told))
    assert open_corpus(Corpus(path=str(tmp_path), held_out=0), 2).tokens == contents.tokens
    zeroed(tmp_path / "part-00001.npy")
    make(tokenizer, tmp_path)
    assert open_corpus(Corpus(path=str(tmp_path), held_out=0), 2).tokens == contents.tokens
