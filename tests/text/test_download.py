"""One file from a web server that fails in all the ways it can."""

import gzip
import threading

import numpy as np
import pytest
import served

from rare_retention.text import download
from rare_retention.text.download import Download, Failed, Stopped, ask_size, session
from rare_retention.text.urls import Wanted

CONTENT = np.random.default_rng(0).bytes(100_000)
SYNCED = 10_000


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(download, "PAUSE", 0)
    monkeypatch.setattr(download, "SYNCED", SYNCED)
    monkeypatch.setattr(download, "_PIECE", 1000)
    with served.serving({"/x/a.npy": CONTENT}) as server:
        yield server


@pytest.fixture
def begin(server, tmp_path):
    """f(...) -> a download of that file, and what it was told has come."""

    def begin(path="/x/a.npy", advance=None, stop=None, **fields):
        moved = []
        wanted = Wanted(f"{server.url}{path}", "x/a.npy", **fields)
        stop = stop or threading.Event()
        tell = advance or moved.append
        return Download(wanted, tmp_path, session(1), tell, stop), moved

    return begin


def parts(folder):
    return sorted(folder.glob(".*.part"))


def test_a_file_comes_whole(begin, server):
    own, moved = begin()
    assert own.run().read_bytes() == CONTENT
    assert sum(moved) == len(CONTENT) and not own.resumed
    assert server.gets() == [None]


def test_a_server_that_fails_for_a_while_is_asked_again(begin, server):
    server.faults["/x/a.npy"] = [503, 503, 429, 500]
    own, _ = begin()
    assert own.run().read_bytes() == CONTENT
    assert server.gets() == [None] * 5


def test_an_answer_that_is_cut_goes_on_where_it_ended(begin, server):
    server.faults["/x/a.npy"] = ["33000", "20500"]
    own, moved = begin()
    assert own.run().read_bytes() == CONTENT and own.resumed
    first, second, third = server.gets()
    assert first is None and second.startswith("bytes=3") and third.startswith("bytes=5")
    assert sum(moved) == len(CONTENT)
    assert server.sent < len(CONTENT) + 3000


def test_another_process_goes_on_from_what_was_brought_to_the_disk(begin, server, tmp_path):
    stop, at = threading.Event(), [0]

    def advance(count):
        at[0] += count
        if at[0] > 45_000:
            stop.set()

    with pytest.raises(Stopped):
        begin(advance=advance, stop=stop)[0].run()
    [part] = parts(tmp_path)
    assert 45_000 <= part.stat().st_size < 50_000
    with part.open("r+b") as file:  # as a loss of power may leave it
        file.seek(41_000)
        file.write(bytes(4000))
    own, moved = begin()
    assert own.run().read_bytes() == CONTENT and own.resumed
    assert server.gets()[-1] == "bytes=40000-" and moved[0] == 40_000


def test_a_whole_part_of_a_multiple_of_what_is_synced_is_not_thrown_away(begin, server, tmp_path):
    path = begin()[0].run()
    assert len(CONTENT) % SYNCED == 0
    assert begin()[0].run() == path
    assert server.gets() == [None, "bytes=90000-"]


def test_a_server_that_ignores_ranges_sends_the_file_anew(begin, server):
    server.ranges = False
    server.faults["/x/a.npy"] = ["33000"]
    own, moved = begin()
    assert own.run().read_bytes() == CONTENT
    assert sum(moved) == len(CONTENT) and not own.resumed


def test_without_ranges_a_server_that_always_cuts_is_given_up(begin, server):
    server.ranges = False
    server.faults["/x/a.npy"] = ["33000"] * 99
    with pytest.raises(
        Failed, match=r"a\.npy: the connection failed .*, 6 times in a row; the sam"
    ):
        begin()[0].run()
    assert len(server.gets()) == 6


def test_a_server_that_always_cuts_but_goes_on_comes_to_the_end(begin, server):
    server.faults["/x/a.npy"] = ["9000"] * 99
    assert begin()[0].run().read_bytes() == CONTENT
    assert 11 < len(server.gets()) < 20


@pytest.mark.parametrize("tags", [True, False])
def test_a_file_that_has_changed_is_never_joined_with_what_it_was(begin, server, tmp_path, tags):
    server.tags = tags
    server.faults["/x/a.npy"] = ["33000"] + [404]
    with pytest.raises(Failed, match="the server answers 404 Not Found"):
        begin()[0].run()
    assert len(parts(tmp_path)) == 1
    changed = CONTENT[::-1] if tags else CONTENT[1:]  # without a tag a size alone tells
    server.files["/x/a.npy"] = changed
    own, moved = begin()
    path = own.run()
    assert path.read_bytes() == changed and parts(tmp_path) == [path]
    assert sum(moved) == len(changed)


def test_a_file_that_has_changed_on_a_server_without_ranges_leaves_nothing(begin, server, tmp_path):
    server.ranges = False
    server.faults["/x/a.npy"] = ["33000", 404]
    with pytest.raises(Failed, match="404"):
        begin()[0].run()
    server.files["/x/a.npy"] = CONTENT[::-1]
    path = begin()[0].run()
    assert path.read_bytes() == CONTENT[::-1] and parts(tmp_path) == [path]


def test_a_compressed_file_stays_as_it_is(begin, server):
    """Though a server says of a .gz that it is compressed, and a browser would unpack it."""
    content = gzip.compress(CONTENT)
    server.files["/x/a.npy"] = content
    server.headers = {"Content-Encoding": "gzip"}
    assert begin(size=len(content))[0].run().read_bytes() == content


def test_a_server_that_falls_silent_is_asked_again(begin, server, monkeypatch):
    monkeypatch.setattr(download, "TIMEOUT", (5.0, 0.1))
    server.stall = 33_000
    timer = threading.Timer(0.3, setattr, (server, "stall", None))
    timer.start()
    assert begin()[0].run().read_bytes() == CONTENT
    timer.join()
    assert len(server.gets()) > 1


def test_a_file_that_has_become_shorter_begins_anew(begin, server, tmp_path):
    begin()[0].run()
    server.files["/x/a.npy"] = CONTENT[:500]
    assert begin()[0].run().read_bytes() == CONTENT[:500]
    assert len(parts(tmp_path)) == 1


def test_a_wrong_size_is_seen_before_anything_comes(begin, server, tmp_path):
    with pytest.raises(Failed, match=r"has 100,000 bytes, but the list says 99,999; mend the list"):
        begin(size=99_999)[0].run()
    assert not parts(tmp_path) and len(server.gets()) == 1


def test_who_is_not_there_is_one_line(begin, tmp_path):
    with pytest.raises(Failed, match=r"/none: the server answers 404 Not Found$"):
        begin("/none")[0].run()
    nobody = Wanted("http://127.0.0.1:9/a", "a")
    with pytest.raises(Failed) as caught:
        Download(nobody, tmp_path, session(1), print, threading.Event()).run()
    assert "refused" in str(caught.value) and "\n" not in str(caught.value)


def test_stop_is_heeded_in_a_pause(begin, server, monkeypatch):
    monkeypatch.setattr(download, "PAUSE", 60)
    server.faults["/x/a.npy"] = [503]
    stop = threading.Event()
    threading.Timer(0.2, stop.set).start()
    with pytest.raises(Stopped):
        begin(stop=stop)[0].run()


def test_sizes_are_asked_for_where_servers_say(server):
    own = session(1)
    assert ask_size(f"{server.url}/x/a.npy", own) == 100_000
    with pytest.raises(Failed, match="404"):
        ask_size(f"{server.url}/none", own)
    server.heads = False
    assert ask_size(f"{server.url}/x/a.npy", own) is None
    with pytest.raises(Failed, match="refused"):
        ask_size("http://127.0.0.1:9/a", own)
