"""Files that are whole or absent, and what is said when they cannot be."""

import errno
import os

import pytest
from etils import epath

from rare_retention.errors import UserError
from rare_retention.record import files


def test_a_file_is_written_into_a_folder_that_is_made(tmp_path):
    path = epath.Path(tmp_path) / "a" / "b.txt"
    files.write(path, lambda file: file.write(b"content"))
    assert path.read_bytes() == b"content"
    assert os.listdir(tmp_path / "a") == ["b.txt"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_a_write_that_ends_early_leaves_the_old_file(tmp_path, error):
    path = epath.Path(tmp_path) / "a.txt"
    path.write_text("old")

    def half(file):
        file.write(b"ne")
        raise error

    with pytest.raises(error):
        files.write(path, half)
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["a.txt"]


def test_what_is_written_shows_only_when_it_is_whole(tmp_path):
    path = epath.Path(tmp_path) / "a.txt"
    path.write_text("old")

    def fill(file):
        file.write(b"new")
        file.flush()
        assert path.read_text() == "old"

    with path.open() as before:  # the old file is replaced, not written over
        files.write(path, fill)
        assert before.read() == "old"
    assert path.read_text() == "new"


def test_what_is_listed_matches_by_its_own_name_alone(tmp_path):
    folder = epath.Path(tmp_path / "e[2]")
    assert files.listed(folder, "*") == []
    folder.mkdir()
    for name in ("b.npz", "a.npz", "a.json", "1.npz"):
        (folder / name).touch()
    assert [path.name for path in files.listed(folder, "*.npz")] == ["1.npz", "a.npz", "b.npz"]
    assert [path.name for path in files.listed(folder, "[0-9]*")] == ["1.npz"]


def test_json_is_read_as_it_was_written(tmp_path):
    path, data = epath.Path(tmp_path) / "a.json", {"β": [1, 2.5, None], "": "ü"}
    files.write_json(path, data)
    assert files.read_json(path) == data
    assert path.read_text().endswith("}\n")


@pytest.mark.parametrize("content", [b'{"a": ', b"\xff\xfe"])
def test_damaged_json_is_one_line(tmp_path, content):
    path = epath.Path(tmp_path) / "config.json"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"config.json: damaged, not valid JSON") as caught:
        files.read_json(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("number", "line"),
    [
        (errno.ENOSPC, "no space left on the disk; what was saved before is intact"),
        (errno.EDQUOT, "no space left on the disk"),
        (errno.EACCES, r"cannot be written \(Permission denied\)"),
        (errno.EROFS, r"cannot be written \(Read-only file system\)"),
        (errno.ENOTDIR, r"cannot be written \(Not a directory\)"),
    ],
)
def test_a_place_that_cannot_be_written_is_one_line(tmp_path, monkeypatch, number, line):
    path = epath.Path(tmp_path) / "a.json"

    def refuse(self, *args, **kwargs):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(type(path), "mkdir", refuse)
    with pytest.raises(UserError, match=rf"a.json: {line}"):
        files.write_json(path, {})


def test_other_errors_are_no_faults_of_the_disk(tmp_path):
    with pytest.raises(OSError, match="Input/output") as caught, files.disk(epath.Path(tmp_path)):
        raise OSError(errno.EIO, os.strerror(errno.EIO))
    assert not isinstance(caught.value, UserError)


def test_a_full_disk_is_found_behind_the_error_of_a_library():
    full = OSError(errno.ENOSPC, "")
    wrapped, while_handling = ValueError("cannot save"), ValueError("cannot save")
    wrapped.__cause__, while_handling.__context__ = full, wrapped
    assert files.is_full(full) and files.is_full(wrapped) and files.is_full(while_handling)
    assert files.is_full(RuntimeError(f"RESOURCE: {os.strerror(errno.ENOSPC)} at x"))
    assert not files.is_full(ValueError("cannot save")) and not files.is_full(None)
