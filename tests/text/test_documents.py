import subprocess
import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds
from array_record.python.array_record_module import ArrayRecordWriter
from etils import epath

from rare_retention.errors import UserError
from rare_retention.text.documents import TextFiles, open_documents, standard_library


def array_record(path, records):
    writer = ArrayRecordWriter(str(path), "group_size:1")
    for record in records:
        writer.write(record)
    writer.close()


class RareText(tfds.core.GeneratorBasedBuilder):
    """A data set of five short texts."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = {"text": tfds.features.Text(), "stars": tfds.features.Scalar(np.int32)}
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        for i in range(5):
            yield i, {"text": f"é{i}", "stars": i}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tfds")
    RareText(data_dir=folder, file_format="array_record").download_and_prepare()
    return str(folder)


def texts(documents):
    return [documents[i] for i in range(len(documents))]


def test_text_files_are_documents_in_the_order_of_their_names(tmp_path):
    for name, text in (("b.txt", "two\r\n"), ("a.txt", "öne"), ("c.md", "three")):
        (tmp_path / name).write_bytes(text.encode())
    documents = open_documents(f"text:{tmp_path}/*.txt")
    assert texts(documents) == ["öne", "two\r\n"]
    digest = documents.digest
    (tmp_path / "b.txt").write_text("longer")
    assert open_documents(f"text:{tmp_path}/*.txt").digest != digest


def test_array_records_are_documents_across_files(tmp_path):
    array_record(tmp_path / "x-0.array_record", [b"a", "é".encode()])
    array_record(tmp_path / "x-1.array_record", [b"c"])
    documents = open_documents(f"array_record:{tmp_path}/x-*")
    assert texts(documents) == ["a", "é", "c"] and len(documents.digest) == 16


def test_tfds_texts_are_documents(data_dir):
    documents = open_documents("tfds:rare_text", data_dir=data_dir)
    assert sorted(texts(documents)) == [f"é{i}" for i in range(5)]
    some = open_documents("tfds:rare_text:1.0.0", split="train[:40%]", data_dir=data_dir)
    assert texts(some) == texts(documents)[:2]
    assert some.name == "tfds:rare_text:1.0.0, train[:40%], text"
    assert some.digest != documents.digest


def test_a_prepared_data_set_needs_neither_its_builder_nor_tensorflow(data_dir):
    script = (
        "import sys; from rare_retention.text.documents import open_documents\n"
        f"documents = open_documents('tfds:rare_text', data_dir={data_dir!r})\n"
        "print(len(documents), documents[0][0], 'tensorflow' in sys.modules)"
    )
    printed = subprocess.check_output([sys.executable, "-c", script], text=True, timeout=60)
    assert printed.split() == ["5", "é", "False"]


def test_the_standard_library_leaves_out_tests_and_packages():
    documents = standard_library()
    names = {file.name for file in documents._files}
    assert {"argparse.py", "dataclasses.py"} < names and 400 < len(documents) < 2000
    assert not [file for file in documents._files if {"test", "site-packages"} & set(file.parts)]
    assert "def " in documents[0] + documents[1]


def test_the_standard_library_is_the_same_on_every_machine(tmp_path, monkeypatch):
    """Without what a build of Python or its owner wrote, wherever it stands."""
    root = tmp_path / "python[3]"
    for name in ("b.py", "a/c.py", "_sysconfigdata_x.py", "sitecustomize.py", "a/tests/d.py"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    monkeypatch.setattr("sysconfig.get_path", lambda _: str(root))
    assert texts(standard_library()) == ["a/c.py", "b.py"]


def test_the_standard_library_skips_what_is_no_utf8(tmp_path, monkeypatch):
    (tmp_path / "good.py").write_text("x")
    (tmp_path / "bad.py").write_bytes(b"\xff")
    monkeypatch.setattr("sysconfig.get_path", lambda _: str(tmp_path))
    assert texts(standard_library()) == ["x"]
    (tmp_path / "good.py").unlink()
    with pytest.raises(UserError, match="stdlib: this Python keeps no sources in"):
        standard_library()


def test_what_is_no_utf8_is_named(tmp_path):
    path = epath.Path(tmp_path / "a.txt")
    path.write_bytes(b"ab\xff")
    with pytest.raises(UserError, match=r"a\.txt: not UTF-8 \(byte 2\); convert it"):
        TextFiles("x", [path])[0]
    array_record(tmp_path / "x", [b"ok", b"\xff"])
    with pytest.raises(UserError, match="x: record 1: not UTF-8"):
        open_documents(f"array_record:{tmp_path}/x")[1]


BAD = {
    "kind": ("web:x", {}, "--source=web:x: expected stdlib, text:GLOB, jsonl:GLOB,"),
    "nothing": ("text:", {}, "--source=text:: expected stdlib"),
    "more": ("stdlib:x", {}, "--source=stdlib:x: expected stdlib"),
    "files": ("text:/none/*", {}, "--source=text:/none/*: no file matches"),
    "set": ("tfds:rare_txt_", {}, "--source=tfds:rare_txt_: Dataset rare_txt_ not found"),
    "split": ("tfds:rare_text", {"split": "test"}, "Unknown split 'test'. Should be one of"),
    "key": ("tfds:rare_text", {"text_key": "body"}, "--text_key=body: no feature of rare_text"),
    "version": ("tfds:rare_text:9.0.0", {}, "cannot be loaded at version 9.0.0"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_source_is_one_line(case, data_dir):
    source, values, message = BAD[case]
    with pytest.raises(UserError) as caught:
        open_documents(source, data_dir=data_dir, **values)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_a_feature_that_is_no_text_is_named(data_dir):
    documents = open_documents("tfds:rare_text", text_key="stars", data_dir=data_dir)
    with pytest.raises(UserError, match="--text_key=stars: expected a text, got int in"):
        documents[0]


def test_a_damaged_array_record_is_one_line(tmp_path):
    (tmp_path / "x").write_bytes(b"no records" * 100)
    with pytest.raises(UserError) as caught:
        open_documents(f"array_record:{tmp_path}/x")
    assert "\n" not in str(caught.value)
