"""A corpus whose text is not at hand, and when it is taken for one."""

import dataclasses

import numpy as np
import pytest
import tiny_text

from rare_retention.errors import ConfigError, UserError
from rare_retention.text import token_files
from rare_retention.text.corpus import Corpus
from rare_retention.text.declared import Declared, declared, opened

NOWHERE = Corpus(path="/nowhere/dolma", held_out=3)


def test_a_corpus_that_is_not_there_is_refused_unless_it_may_be_absent():
    with pytest.raises(ConfigError, match="no such file"):
        opened(NOWHERE, 16)
    with declared("absent"):
        assert opened(NOWHERE, 16).absent
    with pytest.raises(ConfigError, match="no such file"):
        opened(NOWHERE, 16)


def test_a_corpus_that_is_there_is_opened_unless_nothing_is_looked_at():
    with declared("absent"):
        assert not opened(tiny_text.corpus(), 16).absent
    with declared("always"):
        assert opened(tiny_text.corpus(), 16).absent


def test_a_corpus_that_is_there_and_wrong_is_refused_also_where_it_may_be_absent(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros(100, np.uint16))
    corpus = dataclasses.replace(NOWHERE, path=str(tmp_path))
    with declared("absent"), pytest.raises(UserError, match="NumPy header"):
        opened(corpus, 16)
    (tmp_path / "a.npy").unlink()
    with declared("absent"), pytest.raises(ConfigError, match="no file of tokens"):
        opened(corpus, 16)


def test_storage_that_cannot_be_reached_holds_a_corpus_that_is_absent(monkeypatch):
    def unreachable(path):
        raise OSError("no credentials")

    monkeypatch.setattr(token_files, "find", unreachable)
    with declared("absent"):
        assert opened(dataclasses.replace(NOWHERE, path="gs://bucket/*.npy"), 16).absent
        with pytest.raises(OSError, match="no credentials"):
            opened(NOWHERE, 16)


def test_ids_are_as_the_config_says_or_those_of_ai2():
    assert (Declared(NOWHERE, 16).vocabulary, Declared(NOWHERE, 16).end_of_document) == (
        50_280,
        50_279,
    )
    own = dataclasses.replace(NOWHERE, vocabulary=300, dtype="uint32")
    assert (Declared(own, 16).vocabulary, Declared(own, 16).end_of_document) == (300, 299)
    assert Declared(own, 16).dtype == "uint32"
    told = dataclasses.replace(own, end_of_document=7)
    assert Declared(told, 16).end_of_document == 7
    assert Declared(Corpus(), 16).vocabulary == 1024


def test_windows_have_shapes_and_types_alone():
    text = Declared(NOWHERE, 16)
    assert text.held_out().shape == (3, 16) and text.held_out().dtype == np.int32
    rows = text.train(np.arange(5), 0)
    assert rows.shape == (5, 16) and rows.dtype == np.uint16
    assert np.isnan(text.unigram_entropy())


@pytest.mark.parametrize(
    "read", [lambda text: text.identity, lambda text: text.gather(np.arange(2))]
)
def test_what_the_text_decides_is_refused(read):
    with pytest.raises(UserError, match="its text is not here"):
        read(Declared(NOWHERE, 16))


def test_a_plan_of_a_run_has_the_shapes_that_its_corpus_would_give():
    run = tiny_text.run()
    with declared("always"):
        other = dataclasses.replace(run, setting=dataclasses.replace(run.setting, task_seed=1))
        assert other.setting.windows.absent
        assert other.setting.family == run.setting.family
