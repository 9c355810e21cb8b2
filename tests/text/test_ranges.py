"""Ranges of remote files: many at once, tried again, and one line where they fail for good."""

import buckets
import numpy as np
import pytest
import served

from rare_retention.errors import UserError
from rare_retention.text import ranges
from rare_retention.text.ranges import Range, pieces, read

CONTENT = {f"b/{i}": np.random.default_rng(i).bytes(1000 + i) for i in range(3)}


@pytest.fixture
def store(monkeypatch):
    monkeypatch.setattr(ranges, "PAUSE", 0)
    with buckets.bucket() as store:
        for name, content in CONTENT.items():
            store.put(name, content)
        yield store


def some(count, length=10):
    """Ranges of all files, and what they hold."""
    names = list(CONTENT)
    asked = [Range(f"gs://{names[i % 3]}", 7 * i, 7 * i + length) for i in range(count)]
    return asked, [CONTENT[names[i % 3]][7 * i : 7 * i + length] for i in range(count)]


def test_ranges_come_in_their_order_and_many_at_once(store, monkeypatch):
    monkeypatch.setattr(ranges, "REQUESTS", 20)
    store.delay = 0.02
    asked, expected = some(100)
    assert read(asked) == expected
    assert len(store.asked) == 100 and 10 <= store.most <= 20


def test_an_empty_range_asks_for_nothing(store):
    assert read([]) == [] and read([Range("gs://b/0", 5, 5)]) == [b""]
    assert not store.asked


def test_what_fails_is_asked_for_again_and_nothing_else(store):
    store.faults["b/1"] = [OSError("reset"), TimeoutError()]
    asked, expected = some(6)
    assert read(asked) == expected
    assert len(store.asked) == 6 + 2


BAD = {
    "down": ("b/0", [OSError("it is\ndown")] * 99, "gs://b/0: bytes 0 to 10 cannot be read after 6"
             " tries (OSError: it is down); run the same command again"),
    "gone": ("b/none", [], "gs://b/none: is missing; copy it again"),
    "forbidden": ("b/0", [PermissionError("no")], "cannot be read (PermissionError: no); run"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_fails_for_good_is_one_line(case, store):
    name, faults, message = BAD[case]
    store.faults[name] = list(faults)
    with pytest.raises(UserError) as caught:
        read([Range(f"gs://{name}", 0, 10)])
    assert message in str(caught.value) and "\n" not in str(caught.value)
    assert len(store.asked) == {"down": ranges.TRIES, "gone": 0, "forbidden": 1}[case]


def test_a_file_that_is_too_short_is_no_reason_to_wait(store):
    with pytest.raises(UserError, match="gs://b/0: has become shorter since it was opened"):
        read([Range("gs://b/0", 995, 1005)])
    assert len(store.asked) == 1


def test_pieces_are_the_file(store, monkeypatch):
    monkeypatch.setattr(ranges, "_PIECE", 64)
    assert b"".join(pieces("gs://b/2", 1002)) == CONTENT["b/2"]
    assert max(stop - start for _, start, stop in store.asked) == 64
    assert not list(pieces("gs://b/2", 0))


def test_a_web_server_that_fails_for_a_while(monkeypatch):
    pytest.importorskip("aiohttp")
    monkeypatch.setattr(ranges, "PAUSE", 0)
    content = np.random.default_rng(0).bytes(10_000)
    with served.serving({"/a": content}) as server:
        server.faults["/a"] = [503, "3", 503]
        asked = [Range(f"{server.url}/a", start, start + 100) for start in range(0, 9900, 300)]
        assert read(asked) == [content[one.start : one.stop] for one in asked]
        assert len(server.gets("/a")) == len(asked) + 3
        with pytest.raises(UserError, match="has become shorter since it was opened"):
            read([Range(f"{server.url}/a", 10_000, 10_001)])
        server.ranges = False
        with pytest.raises(UserError, match="sends 10,000 bytes where 10 were asked for; it does"):
            read([Range(f"{server.url}/a", 0, 10)])
