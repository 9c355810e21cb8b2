"""Documents in JSON lines, in Parquet and in data sets of the package `datasets`."""

import gzip
import json

import pytest

from rare_retention.errors import UserError
from rare_retention.text.documents import open_documents

TEXTS = ["öne\nline", "", "three {braces}", "four", "five"]


def jsonl(texts, key="text"):
    return "".join(json.dumps({"id": i, key: text}) + "\n" for i, text in enumerate(texts)).encode()


def zstd(content):
    return pytest.importorskip("zstandard").ZstdCompressor().compress(content)


def texts(documents):
    return [documents[i] for i in range(len(documents))]


WAYS = {
    "a.jsonl": lambda content: content,
    "a.json.gz": gzip.compress,
    "a.jsonl.zst": zstd,
    "two.gz": lambda content: gzip.compress(content[:40]) + gzip.compress(content[40:]),
    "bom.jsonl": lambda content: b"\xef\xbb\xbf" + content,
    "blank.jsonl": lambda content: b"\n" + content.replace(b"\n", b"\r\n\n"),
}


@pytest.mark.parametrize("name", WAYS)
def test_each_line_is_a_document(tmp_path, name):
    (tmp_path / name).write_bytes(WAYS[name](jsonl(TEXTS)))
    documents = open_documents(f"jsonl:{tmp_path}/*")
    assert texts(documents) == TEXTS
    assert [documents[i] for i in (4, 0, 2, 2, 1)] == [TEXTS[i] for i in (4, 0, 2, 2, 1)]


def test_files_follow_each_other_and_a_key_names_the_text(tmp_path):
    for name, own in (("b.jsonl", TEXTS[:2]), ("a.jsonl.gz", TEXTS[2:])):
        content = jsonl(own, key="content")
        (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    (tmp_path / "c.jsonl").write_bytes(b"")
    documents = open_documents(f"jsonl:{tmp_path}/*", text_key="content")
    assert texts(documents) == TEXTS[2:] + TEXTS[:2]
    assert documents.name.endswith(", content")


BAD = {
    "no object": (b"[1]\n", r"a\.jsonl:1: expected an object, got list"),
    "no JSON": (jsonl(["x"]) + b"{\n", r"a\.jsonl:2: no JSON \("),
    "another key": (
        jsonl(["x"], key="body"),
        r":1: no field .text.; it has id, body: ",
    ),
    "no text": (b'{"text": 3}\n', r":1: text: expected a text, got int"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_document_is_named_with_its_line(tmp_path, case):
    content, message = BAD[case]
    (tmp_path / "a.jsonl").write_bytes(content)
    documents = open_documents(f"jsonl:{tmp_path}/a.jsonl")
    with pytest.raises(UserError, match=message) as caught:
        texts(documents)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("way", [gzip.compress, zstd])
def test_a_cut_file_is_named(tmp_path, way):
    (tmp_path / "a.json.gz").write_bytes(way(jsonl([f"text {i}" * 99 for i in range(99)]))[:-30])
    with pytest.raises(UserError, match=r"a\.json\.gz: cannot be decompressed \("):
        open_documents(f"jsonl:{tmp_path}/*")


OTHERS = {
    "a.jsonl": (jsonl(TEXTS), r"holds JSON lines with the fields id, text, no prose; .*jsonl:"),
    "a.json.gz": (gzip.compress(jsonl(TEXTS)), r"is gzip, no plain text; try --source=jsonl:"),
    "a.parquet": (b"PAR1....", r"is Parquet, no plain text; try --source=parquet:"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_they_are_not_read_as_prose(tmp_path, name):
    content, remedy = OTHERS[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=remedy):
        open_documents(f"text:{tmp_path}/*")


def test_prose_may_begin_with_a_brace(tmp_path):
    (tmp_path / "a.txt").write_text('{"a": 1}\n{curly\n')
    assert texts(open_documents(f"text:{tmp_path}/*")) == ['{"a": 1}\n{curly\n']


def test_a_byte_order_mark_is_no_part_of_a_text(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfone")
    assert open_documents(f"text:{tmp_path}/*")[0] == "one"
