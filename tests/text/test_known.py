"""What is kept about known files, and when it counts no more."""

import os

import numpy as np
import pytest
from etils import epath

from rare_retention.text import known as module
from rare_retention.text import token_files
from rare_retention.text.known import known
from rare_retention.text.token_files import scan


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Folder of a cache of its own, in which files are known at once."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(module, "FOLDER", "texts")
    monkeypatch.setattr(module, "SETTLED", -60.0)
    return tmp_path / "cache" / "rare_retention" / "texts"


@pytest.fixture
def path(tmp_path):
    file = epath.Path(tmp_path / "text" / "a.npy")
    file.parent.mkdir()
    file.write_bytes(bytes(100))
    return file


class Asked:
    """Asks about a file, and counts how often the answer was found out."""

    def __init__(self, path):
        self.path, self.count = path, 0

    def __call__(self, what="sum"):
        def find():
            self.count += 1
            return [self.count, 0.1]

        return known(scan([self.path], "uint16"), what, find)


def test_a_known_file_is_asked_once(cache, path):
    ask = Asked(path)
    assert ask() == ask() == [1, 0.1]
    assert ask("length") == [2, 0.1]
    assert len(list(cache.iterdir())) == 2


def test_a_file_that_was_written_again_is_not_known(cache, path):
    """Nor where its size and time are what they were."""
    ask, times = Asked(path), os.stat(path)
    ask()
    path.write_bytes(bytes(99) + b"1")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert ask() == [2, 0.1]
    whole = np.memmap(path, "u1", mode="r+")
    whole[0] = 1
    whole.flush()
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert ask() == [3, 0.1]


def test_another_place_is_not_known(cache, path, tmp_path, monkeypatch):
    ask = Asked(path)
    ask()
    path.parent.rename(tmp_path / "moved")
    assert Asked(tmp_path / "moved" / "a.npy")() == [1, 0.1]
    assert len(list(cache.iterdir())) == 2
    monkeypatch.chdir(tmp_path / "moved")
    again = Asked(epath.Path("a.npy"))
    again()
    assert again.count == 0


def test_a_file_that_has_just_changed_is_not_known_yet(cache, path, monkeypatch):
    """Its next change might fall into the same tick of the clock."""
    monkeypatch.setattr(module, "SETTLED", 60.0)
    ask = Asked(path)
    assert [ask()[0], ask()[0]] == [1, 2] and not cache.exists()


def test_what_has_no_times_is_never_known(cache, path):
    file = scan([path], "uint16")[0]._replace(stamp=())
    assert [known([file], "sum", lambda value=value: value) for value in (1, 2)] == [1, 2]


def test_remote_files_are_known_by_place_size_and_time(cache, path, monkeypatch):
    monkeypatch.setattr(token_files, "is_local", lambda _: False)
    ask = Asked(path)
    assert ask() == ask() == [1, 0.1]
    os.utime(path, (10**9, 10**9))
    assert ask() == [2, 0.1]


@pytest.mark.parametrize("content", ["", "[]", "{}", "{"])
def test_damage_is_passed_over(content, cache, path):
    ask = Asked(path)
    ask()
    [kept] = cache.iterdir()
    kept.write_text(content)
    assert ask() == [2, 0.1] and ask() == [2, 0.1]


def test_a_cache_that_cannot_be_written_is_done_without(cache, path):
    cache.parent.mkdir(parents=True)
    cache.write_text("a file")
    ask = Asked(path)
    assert [ask()[0], ask()[0]] == [1, 2]
