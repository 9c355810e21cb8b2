"""Documents in Parquet and in data sets of the package `datasets`."""

import pytest

from rare_retention.errors import UserError
from rare_retention.text.documents import open_documents

TEXTS = ["öne\nline", "", "three {braces}", "four", "five"]


def texts(documents):
    return [documents[i] for i in range(len(documents))]


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
