"""Shards of documents as files: the same whatever is encoded at once, with what they refer to."""

import pytest
from etils import epath

from rare_retention.config import to_dict
from rare_retention.text import shards
from rare_retention.text.documents import TextFiles
from rare_retention.text.preparation import prepare
from rare_retention.text.shards import count_references
from rare_retention.text.tokenizing import Bpe


def test_small_and_large_batches_give_the_same_bytes(tmp_path, monkeypatch):
    for i, text in enumerate(["one fish", "", "two fish, 1 + 2 = 3", "é" * 40]):
        (tmp_path / f"{i}.txt").write_text(text)
    source = TextFiles("x", sorted(epath.Path(tmp_path).glob("*.txt")))

    def made(name):
        return prepare(source, Bpe(270), epath.Path(tmp_path / name), shard_documents=3, quiet=True)

    first = made("a")
    monkeypatch.setattr(shards, "_CHARACTERS", 1)
    assert made("b") == first and len({part.digest for part in first.files}) == 2


@pytest.mark.parametrize(
    ("text", "increase", "sum_"),
    [
        ("it has increased from 3 to 4, increased from 1,200.5 to 9", 2, 0),
        ("increased from three to 4, increased from 3 today", 0, 0),
        ("12 + 3 = 15; 1 + 2 + 3 = 6; 1.5 + 2.25 = 3.75", 0, 3),
        ("a + 3 = b, 1 + 2 == 3, 1+2 = 3, + 4 = 4", 0, 0),
    ],
)
def test_reference_tasks_are_counted(text, increase, sum_):
    assert to_dict(count_references(text)) == {"increase": increase, "sum": sum_}
