import json
import subprocess
import sys

import numpy as np
import pytest
from etils import epath
from hypothesis import given
from hypothesis import strategies as st

from rare_retention.config import ConfigError
from rare_retention.errors import UserError
from rare_retention.text.tokenizing import Bpe, TokenizerFile, encode, load


class Texts(list):
    """Documents in memory."""

    name = digest = "texts"


TEXTS = Texts(f"the cat number {i} sat on the mat, déjà vu\n" * (i + 1) for i in range(30))


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = epath.Path(tmp_path_factory.mktemp("tokenizer") / "tokenizer.json")
    path.write_text(Bpe(300).text(TEXTS))
    return path


def ids(path, text, end=0):
    [found] = encode(load(path), [text], end)
    return found.tolist()


def test_the_same_documents_give_the_same_tokenizer(path):
    assert Bpe(300).text(TEXTS) == path.read_text()
    assert Bpe(301).text(TEXTS) != path.read_text()
    assert Bpe(300, train_documents=2).text(TEXTS) == Bpe(300).text(Texts([TEXTS[0], TEXTS[15]]))


@given(text=st.text())
def test_any_text_comes_back(path, text):
    *found, end = ids(path, text)
    assert end == 0 and 0 not in found
    assert load(path).decode(found, skip_special_tokens=False) == text


def test_common_words_become_one_token(path):
    assert load(path).get_vocab_size() == 300
    assert len(ids(path, " the cat")) < 8


def test_a_text_that_spells_the_end_of_a_document_does_not_end_it(path):
    found = ids(path, "a<|endoftext|>b")
    assert found.count(0) == 1 and found[-1] == 0


def test_settings_of_a_file_for_models_do_not_touch_the_text(path, tmp_path):
    data = json.loads(path.read_text())
    data["truncation"] = {
        "direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0
    }  # fmt: skip
    changed = epath.Path(tmp_path / "tokenizer.json")
    changed.write_text(json.dumps(data))
    assert ids(changed, TEXTS[3]) == ids(path, TEXTS[3])


def test_a_file_knows_its_end_of_document(path, tmp_path):
    source = TokenizerFile(path)
    assert source.end_of_document == "<|endoftext|>" and source.text(TEXTS) == path.read_text()
    assert TokenizerFile(path, "t").end_of_document == "t"
    other = epath.Path(tmp_path / "other.json")
    other.write_text(path.read_text().replace("<|endoftext|>", "</s>"))
    assert TokenizerFile(other).end_of_document == "</s>"
    assert TokenizerFile(other).description != source.description
    with pytest.raises(UserError, match=r"has no token zzz; name the one .* --end_of_document"):
        TokenizerFile(path, "zzz")


def test_bad_tokenizers_are_one_line(path, tmp_path):
    with pytest.raises(ConfigError, match="vocabulary: expected 257 ids or more, got 256"):
        Bpe(256)
    assert np.unique(list(load(epath.Path(path)).get_vocab().values())).size == 300
    with pytest.raises(UserError, match="there is no such file; name a tokenizer"):
        TokenizerFile(epath.Path(tmp_path / "none.json"))
    bad = epath.Path(tmp_path / "bad.json")
    bad.write_text("{}")
    with pytest.raises(UserError, match=r"bad\.json: not a tokenizer\.json of `tokenizers`"):
        TokenizerFile(bad)


def test_forks_after_encoding_are_quiet(path):
    script = (
        "import os, sys; from etils import epath\n"
        "from rare_retention.text.tokenizing import encode, load\n"
        f"tokenizer = load(epath.Path({str(path)!r}))\n"
        "list(encode(tokenizer, ['a b'] * 99, 0))\n"
        "if os.fork() == 0: os._exit(0)\n"
        "os.wait(); list(encode(tokenizer, ['a b'] * 99, 0))"
    )
    command = [sys.executable, "-W", "ignore", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout + done.stderr == ""
