import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import served
from absl.testing import flagsaver

from launch import fetch
from rare_retention import flags as command_line
from rare_retention.errors import UserError
from rare_retention.text import download

FILES = {f"/t/{name}.npy": np.random.default_rng(i).bytes(50_000) for i, name in enumerate("ab")}


def call(*arguments):
    """Exit code of the launcher; its UserError passes through."""
    with flagsaver.flagsaver():
        return fetch.main(command_line.parse(["fetch", *map(str, arguments)]))


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(download, "PAUSE", 0)
    with served.serving(FILES) as server:
        yield server


@pytest.fixture
def asked(server, tmp_path):
    """Flags that name the list of both files and a folder for them."""
    (tmp_path / "urls.txt").write_text("".join(f"{server.url}{name}\n" for name in FILES))
    return [f"--manifest={tmp_path}/urls.txt", f"--to={tmp_path}/to", "--strip=1"]


def test_a_list_is_fetched_and_verified(asked, server, tmp_path, capsys):
    assert call(*asked, "--dry_run") == 0
    printed = capsys.readouterr().out
    assert "absent: a.npy, 50,000 bytes\n" in printed
    assert "to: 2 of 2 files to fetch, 100,000 bytes (100kB)\n" in printed
    assert not (tmp_path / "to").exists() and not server.gets()
    assert call(*asked) == 0
    out, err = capsys.readouterr()
    assert "2 files fetched, 0 stood there" in out and "100k/100k" in err
    assert f"corpus.path={tmp_path}/to/corpus.txt reads the token files" in out
    assert (tmp_path / "to/b.npy").read_bytes() == FILES["/t/b.npy"]
    (tmp_path / "to/a.npy").write_bytes(bytes(50_000))
    assert call(*asked) == 0  # of the same size: nobody has looked
    assert call(*asked, "--verify", "--dry_run") == 1
    assert "damaged: a.npy, 50,000 bytes" in capsys.readouterr().out
    assert call(*asked, "--verify") == 0
    printed = capsys.readouterr().out
    assert f"{tmp_path}/to/a.npy: is damaged, and is fetched again" in printed
    assert "1 file fetched, 1 stood there" in printed
    assert (tmp_path / "to/a.npy").read_bytes() == FILES["/t/a.npy"]


def test_a_failure_is_a_line_and_an_exit_code(asked, server, tmp_path, capsys):
    server.files.pop("/t/a.npy")
    assert call(*asked) == 1
    out, err = capsys.readouterr()
    assert f"{server.url}/t/a.npy: the server answers 404 Not Found" in err.replace("\r", "\n")
    assert "1 file failed; the same command tries again" in err
    assert "1 file fetched" in out and "corpus.path" not in out
    assert not (tmp_path / "to/corpus.txt").exists()
    assert call(*asked, "--dry_run") == 0
    assert "absent: a.npy, http" in capsys.readouterr().out


BAD = {
    "none": (["--manifest=/none"], "/none: there is no such file; expected a list of URLs"),
    "to": (["--to={}/urls.txt"], "urls.txt: cannot be written (File exists)"),
    "below": (["--to={}/urls.txt/x"], "cannot be written (Not a directory)"),
    "staging": (["--staging=x"], "--staging is for a bucket; files for a local folder stay in it"),
    "far": (["--to=gs://b/x", "--staging=gs://b/y"], "expected a local folder"),
    "bucket": (["--to=gs://b/x"], "is missing: Please install gcsfs"),
    "scheme": (["--to=s3://b/x"], "s3:// is not served"),
    "connections": (["--connections=0"], "connections"),
    "strip": (["--strip=2"], "leaves none of its name"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line(case, asked, server, tmp_path, monkeypatch):
    arguments, message = BAD[case]
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(UserError) as caught:
        call(*asked, *(one.format(tmp_path) for one in arguments))
    assert message in str(caught.value) and "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["urls.txt"] and not server.gets()


def test_a_full_disk_ends_it_in_one_line(asked, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(download.Download, "_take", full)
    with pytest.raises(UserError, match=r"no space left on the disk.*run the same command again"):
        call(*asked)


def test_control_c_leaves_and_the_same_command_goes_on(server, tmp_path):
    large = np.random.default_rng(9).bytes(34 * 2**20)
    server.files |= {"/t/large.npy": large}
    server.stall = 33 * 2**20  # bytes of it that come before the server falls silent
    names = [*FILES, "/t/large.npy"]
    (tmp_path / "urls.txt").write_text("".join(f"{server.url}{name}\n" for name in names))
    command = [
        sys.executable, "-m", "launch.fetch", f"--manifest={tmp_path}/urls.txt",
        f"--to={tmp_path}/to", "--strip=1", "--connections=1",
    ]  # fmt: skip
    # A shell's background jobs ignore Ctrl-C, and so would the launcher if the tests are one.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ)
    )
    signal.signal(signal.SIGINT, before)
    for _ in range(600):
        if any(part.stat().st_size > 32 * 2**20 for part in tmp_path.glob("to/.large.*.part")):
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130 and "the same command goes on" in errors
    assert "Traceback" not in errors and "Exception" not in errors
    server.stall = None
    server.asked.clear()
    again = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert again.returncode == 0 and "1 file fetched, 2 stood there" in again.stdout
    assert server.gets() == [f"bytes={32 * 2**20}-"]
    assert (tmp_path / "to/large.npy").read_bytes() == large


def test_a_required_flag_is_named():
    command = [sys.executable, "-m", "launch.fetch", "--to=x"]
    failed = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert failed.returncode == 2 and failed.stderr.strip() == "--manifest is required"
