"""Documents in JSON lines, in Parquet and in data sets of the package `datasets`."""

import gzip
import json

import pytest
from etils import epath

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


def test_rows_of_parquet_are_documents(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    for name, own in (("a", TEXTS[:3]), ("b", TEXTS[3:])):
        table = pyarrow.table({"n": list(range(len(own))), "text": own})
        parquet.write_table(table, tmp_path / f"{name}.parquet", row_group_size=2)
    documents = open_documents(f"parquet:{tmp_path}/*")
    assert texts(documents) == TEXTS and documents[1] == TEXTS[1]
    with pytest.raises(UserError, match=r"a\.parquet: no column 'body'; it has n, text: name one"):
        open_documents(f"parquet:{tmp_path}/*", text_key="body")
    with pytest.raises(UserError, match=r"row 0: n: expected a text, got int"):
        open_documents(f"parquet:{tmp_path}/*", text_key="n")[0]
    (tmp_path / "b.parquet").write_bytes((tmp_path / "b.parquet").read_bytes()[:50])
    with pytest.raises(UserError, match=r"b\.parquet: no Parquet file"):
        open_documents(f"parquet:{tmp_path}/*")


def test_rows_of_a_saved_data_set_are_documents(tmp_path):
    datasets = pytest.importorskip("datasets")
    own = datasets.Dataset.from_dict({"text": TEXTS, "n": list(range(5))})
    own.save_to_disk(str(tmp_path / "one"))
    datasets.DatasetDict({"train": own}).save_to_disk(str(tmp_path / "several"))
    for name in ("one", "several"):
        documents = open_documents(f"hf:{tmp_path}/{name}")
        assert texts(documents) == TEXTS and len(documents.digest) == 16
    with pytest.raises(UserError, match=r"--split=test: not in .*; it has train"):
        open_documents(f"hf:{tmp_path}/several", split="test")
    with pytest.raises(UserError, match=r"--text_key=body: no column of hf:.*; it has text, n"):
        open_documents(f"hf:{tmp_path}/one", text_key="body")
    assert epath.Path(tmp_path / "one").exists()
