"""The record of what was fetched, its one writer, and files that get to their places whole."""

import shutil
from pathlib import Path
from types import SimpleNamespace as Namespace

import buckets
import pytest
from etils import epath

from rare_retention.errors import UserError
from rare_retention.text import download, fetched
from rare_retention.text.download import Failed
from rare_retention.text.fetched import RECORD, Folder, Kept, hash_file

ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
HELD = Kept(url="http://x/a", size=3, sha256=ABC)


def test_the_record_is_read_again_and_sealed(tmp_path):
    place = epath.Path(tmp_path / "to")
    folder = Folder(place)
    assert folder.known("a") is None
    with folder.open():
        folder.add("a", HELD)
    assert Folder(place).known("a") == HELD
    text = (place / RECORD).read_text()
    (place / RECORD).write_text(text.replace('"size": 3', '"size": 4'))
    with pytest.raises(UserError, match=r"fetched\.json: edited or damaged.*; remove it, and the"):
        Folder(place)


def test_the_record_is_written_now_and_then_and_at_the_end(tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(fetched, "write_record", lambda path, data: written.append(data["files"]))
    with (folder := Folder(epath.Path(tmp_path))).open():
        for name in "abc":
            folder.add(name, HELD)
        assert [list(files) for files in written] == [["a"]]
        monkeypatch.setattr(fetched, "EVERY", -1.0)
        folder.add("d", HELD)
        assert [*written[-1]] == ["a", "b", "c", "d"]
    assert len(written) == 3


def test_a_folder_of_which_nothing_is_known_gets_no_record(tmp_path):
    with Folder(epath.Path(tmp_path)).open():
        pass
    assert not (tmp_path / RECORD).exists()


def test_a_folder_has_one_writer(tmp_path):
    def other():
        with Folder(epath.Path(tmp_path)).open():
            return "opened"

    with Folder(epath.Path(tmp_path)).open():
        with pytest.raises(UserError) as caught:
            other()
        expected = f"{tmp_path}: another launch.fetch writes into it; wait until it has ended"
        assert str(caught.value) == expected
    assert other() == "opened"


def test_digests_of_files(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert hash_file(tmp_path / "a", "sha256") == ABC
    assert hash_file(epath.Path(tmp_path / "a"), "md5") == "900150983cd24fb0d6963f7d28e17f72"


def test_too_little_room_is_said_before_anything_comes(tmp_path):
    folder = Folder(epath.Path(tmp_path / "new" / "to"))
    folder.check_room([10, 20], 8)
    with pytest.raises(
        UserError, match=r"to: 1,000,000,000,000,000 bytes are needed there, and .* f"
    ):
        folder.check_room([0, 10**15], 8)
    assert not (tmp_path / "new").exists()


def test_a_bucket_needs_room_for_what_is_on_its_way(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Namespace(free=100))
    (tmp_path / ".a.12345678.part").write_bytes(bytes(10))  # has room already
    with buckets.bucket():
        folder = Folder(epath.Path("gs://b/x"), tmp_path)
        folder.check_room([50, 60, 40], 2)
        with pytest.raises(
            UserError, match="150 bytes are needed there, and 110 are free; choose "
        ):
            folder.check_room([50, 60, 40], 3)


@pytest.fixture
def store(monkeypatch):
    monkeypatch.setattr(download, "PAUSE", 0)
    with buckets.bucket() as store:
        yield store


@pytest.fixture
def part(tmp_path):
    path = tmp_path / "staging" / ".a.12345678.part"
    path.parent.mkdir()
    path.write_bytes(b"abc")
    return path


def test_a_local_file_is_moved(tmp_path, part):
    folder = Folder(epath.Path(tmp_path / "to"))
    with folder.open():
        assert folder.folder_of("d/a") == tmp_path / "to" / "d"
        folder.put(part, "d/a", HELD, again=False)
    assert (tmp_path / "to/d/a").read_bytes() == b"abc" and not part.exists()


def bucket_folder(part):
    return Folder(epath.Path("gs://b/to"), part.parent)


def test_an_object_is_sent_whole_and_looked_at(store, part):
    store.faults["b/to/d/a"] = [OSError("reset"), OSError("reset")]
    folder = bucket_folder(part)
    with folder.open():
        folder.put(part, "d/a", HELD, again=False)
        folder.add("d/a", HELD)
    assert store.files["b/to/d/a"] == b"abc" and not part.exists()
    assert Folder(epath.Path("gs://b/to")).known("d/a") == HELD
    assert part.parent.exists() and not list(part.parent.glob("**/*.part"))


def test_an_object_that_another_has_put_there_is_not_written_over(store, part):
    store.put("b/to/a", b"other")
    with pytest.raises(Failed, match="gs://b/to/a: another process has put it there meanwhile"):
        bucket_folder(part).put(part, "a", HELD, again=False)
    assert store.files["b/to/a"] == b"other" and part.exists()
    bucket_folder(part).put(part, "a", HELD, again=True)  # of a damaged one
    assert store.files["b/to/a"] == b"abc"


def test_a_bucket_that_takes_nothing_is_one_line_and_keeps_what_has_come(store, part):
    store.faults["b/to/a"] = [OSError("it is\nfull")] * 99
    with pytest.raises(Failed, match=r"gs://b/to/a: cannot be written \(OSError: it is full\)"):
        bucket_folder(part).put(part, "a", HELD, again=False)
    assert part.exists()


def test_an_object_of_other_bytes_is_seen(store, part, monkeypatch):
    put = store.put
    monkeypatch.setattr(store, "put", lambda name, content: put(name, content[::-1]))
    with pytest.raises(Failed, match="gs://b/to/a: the bucket had other bytes than were sent"):
        bucket_folder(part).put(part, "a", HELD, again=False)
    assert part.exists() and "b/to/a" not in store.files


def test_what_is_on_its_way_to_a_bucket_stays_in_the_cache_of_the_user(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with buckets.bucket():
        places = {Folder(epath.Path(f"gs://b/{name}")).staging for name in ("x", "x", "y")}
    assert len(places) == 2
    assert all(Path(tmp_path, "rare_retention", "fetch") in place.parents for place in places)
