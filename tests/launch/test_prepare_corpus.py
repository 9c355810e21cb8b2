import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from absl.testing import flagsaver

from launch import prepare_corpus
from rare_retention import flags as command_line
from rare_retention.errors import UserError
from rare_retention.text.corpus import Corpus, open_corpus


def call(*arguments):
    """Exit code of the launcher; its UserError passes through."""
    with flagsaver.flagsaver():
        return prepare_corpus.main(command_line.parse(["prepare_corpus", *arguments]))


@pytest.fixture
def books(tmp_path):
    for i in range(5):
        (tmp_path / f"{i}.txt").write_text(f"book {i}: {i} + 1 = {i + 1}\n" * 40)
    return tmp_path


def test_text_becomes_a_corpus_that_runs_read(books, capsys):
    output = books / "corpus"
    arguments = [f"--source=text:{books}/*.txt", f"--output={output}", "--shard_documents=2"]
    assert call(*arguments, "--vocabulary=300") == 0
    printed = capsys.readouterr()
    assert "5 documents" in printed.out and "3 files" in printed.out
    assert "reference tasks in the text: 0 increases, 200 sums" in printed.out
    assert "100%" in printed.err and "5/5" in printed.err
    windows = open_corpus(Corpus(path=str(output), held_out=2), 16)
    assert windows.train(np.arange(4), 0).shape == (4, 16)
    # The tokenizer of a corpus makes another with the same ids.
    again = [*arguments[:1], f"--output={books}/again", f"--tokenizer={output}/tokenizer.json"]
    assert call(*again) == 0
    ids = np.concatenate([np.fromfile(f"{output}/part-0000{i}.npy", "<u2") for i in range(3)])
    np.testing.assert_array_equal(np.fromfile(f"{books}/again/part-00000.npy", "<u2"), ids)
    with pytest.raises(UserError, match="holds a corpus of another recipe"):
        call(*arguments, "--vocabulary=301")


BAD = {
    "no tokenizer": ([], "give one of --tokenizer=FILE and --vocabulary=N"),
    "both": (["--tokenizer=x", "--vocabulary=300"], "give one of --tokenizer=FILE and"),
    "missing": (["--tokenizer=/none.json"], "/none.json: there is no such file"),
    "vocabulary": (["--vocabulary=9"], "vocabulary: expected 257 ids or more, got 9"),
    "source": (["--vocabulary=300", "--source=web"], "--source=web: expected stdlib"),
    "shards": (["--vocabulary=300", "--shard_documents=0"], "shard_documents"),
    "output": (["--vocabulary=300", "--output=gs://b/x"], "is missing: Please install gcsfs"),
    "remote": (["--vocabulary=300", "--source=text:gs://b/*"], "is missing: Please install gcsfs"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_writes_nothing(case, books, monkeypatch):
    arguments, message = BAD[case]
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(UserError) as caught:
        call(f"--source=text:{books}/*.txt", f"--output={books}/new", *arguments)
    assert message in str(caught.value) and "\n" not in str(caught.value)
    assert not (books / "new").exists()


def test_control_c_keeps_what_is_finished(books):
    (books / "5.txt").write_text("a book of many words\n" * 4000)
    for i in range(6, 2000):  # work for half a minute, however late the signal comes
        os.link(books / "5.txt", books / f"{i}.txt")
    command = [
        sys.executable, "-m", "launch.prepare_corpus", f"--source=text:{books}/*.txt",
        "--vocabulary=300", "--train_documents=9", f"--output={books}/out", "--shard_documents=5",
    ]  # fmt: skip
    # A shell's background jobs ignore Ctrl-C, and so would the launcher if the tests are one.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ)
    )
    signal.signal(signal.SIGINT, before)
    for _ in range(600):
        if list(books.glob("out/part-*")):
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    printed, errors = process.communicate(timeout=60)
    assert process.returncode == 130 and "the same command goes on" in printed
    assert "Traceback" not in errors
    assert not (books / "out" / "corpus.json").exists()


def test_a_required_flag_is_named():
    command = [sys.executable, "-m", "launch.prepare_corpus", "--output=x"]
    failed = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert failed.returncode == 2 and failed.stderr.strip() == "--source is required"
