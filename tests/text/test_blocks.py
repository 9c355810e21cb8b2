"""Windows by blocks of remote files: the same bytes, a bounded memory, and how much is read."""

import multiprocessing
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import buckets
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rare_retention.errors import UserError
from rare_retention.text import blocks, ranges
from rare_retention.text.blocks import Block, Blocks, Reader, shared
from rare_retention.text.ranges import Range
from rare_retention.text.token_files import TokenFile

SIZES = (4000, 30, 0, 2500, 4096)  # tokens of the files


@pytest.fixture(scope="module")
def opened():
    with buckets.bucket() as store:
        rng = np.random.default_rng(0)
        for i, size in enumerate(SIZES):
            store.put(f"b/{i}.npy", rng.integers(0, 2**16, size).astype("<u2").tobytes())
        yield store


@pytest.fixture
def store(opened):
    shared.cache_clear()
    opened.asked.clear()
    yield opened
    opened.faults.clear()
    opened.delay = 0
    shared.cache_clear()


FILES = [TokenFile(f"gs://b/{i}.npy", "uint16", size, (i,)) for i, size in enumerate(SIZES)]


def windows(store, window):
    """(file, row) of all windows, and their tokens."""
    places, tokens = [], []
    for i, size in enumerate(SIZES):
        own = np.frombuffer(store.files[f"b/{i}.npy"], "<u2")[: size // window * window]
        tokens.append(own.reshape(-1, window))
        places += [(i, row) for row in range(size // window)]
    return np.array(places), np.concatenate(tokens)


def ask(reader, places, window):
    found = np.empty((len(places), window), "<u2")
    reader.read(places[:, 0], places[:, 1], found)
    return found


@given(
    window=st.integers(1, 300),
    limit=st.sampled_from([1, 1000, 9000, 10**6]),
    block=st.sampled_from([1, 100, 2048, 10**6]),
    sequential=st.booleans(),
    seed=st.integers(0, 99),
)
def test_windows_are_those_of_the_files(opened, window, limit, block, sequential, seed):
    before, blocks.BLOCK = blocks.BLOCK, block
    try:
        reader = Reader(FILES, 2 * window, limit, sequential=sequential)
    finally:
        blocks.BLOCK = before
    places, tokens = windows(opened, window)
    index = np.random.default_rng(seed).integers(0, len(places), 40)
    np.testing.assert_array_equal(ask(reader, places[index], window), tokens[index])
    assert ask(reader, places[:0], window).shape == (0, window)


def test_in_a_random_order_of_a_large_text_nothing_else_is_read(store):
    """Blocks of many windows would be read for one of them, again and again."""
    places, _ = windows(store, 16)
    reader = Reader(FILES, 32, 2**12, sequential=False)
    order = np.random.default_rng(0).permutation(len(places))
    ask(reader, places[order], 16)
    assert store.bytes == len(places) * 32 and len(store.asked) == len(places)


def test_a_text_that_fits_into_the_memory_is_read_once_by_large_blocks(store):
    places, _ = windows(store, 16)
    reader = Reader(FILES, 32, 10**6, sequential=False)
    for seed in range(3):
        ask(reader, np.random.default_rng(seed).permutation(places), 16)
    assert len(store.asked) == 4 and store.bytes == len(places) * 32


def test_in_order_the_next_blocks_are_there_before_they_are_asked_for(store, monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK", 512)
    places, tokens = windows(store, 16)
    reader = Reader(FILES, 32, 2**14, sequential=True)
    ask(reader, places[:32], 16)  # two blocks, and three ahead
    with reader._ahead:
        asked = len(store.asked)
    assert asked == 5
    found = ask(reader, places[32:64], 16)
    np.testing.assert_array_equal(found, tokens[32:64])
    with reader._ahead:
        assert [start for _, start, _ in store.asked] == [512 * i for i in range(7)]


def test_reading_ahead_leads_into_the_next_file_and_ends_with_the_last(store):
    reader = Reader(FILES, 32, 10**6, sequential=True)
    following = [(found.range.path[-5], found.range.stop) for found in reader._following(0, 0)]
    assert following == [("1", 32), ("3", 4992), ("4", 8192)]
    assert not list(reader._following(4, 0))


def test_a_failed_read_ahead_is_said_by_who_needs_the_block(store, monkeypatch):
    monkeypatch.setattr(ranges, "PAUSE", 0)
    monkeypatch.setattr(blocks, "BLOCK", 512)
    places, _ = windows(store, 16)
    reader = Reader(FILES, 32, 2**14, sequential=True)
    ask(reader, places[:1], 16)
    with reader._ahead:
        store.faults["b/0.npy"] = [OSError("down")] * 99
    with pytest.raises(UserError, match=r"gs://b/0\.npy: bytes .* cannot be read after 6 tries"):
        ask(reader, places[:200], 16)
    store.faults.clear()
    assert ask(reader, places[:200], 16).any()


def block(number, stamp=()):
    return Block(Range("x", number, number + 1), stamp)


def test_memory_is_bounded_and_the_least_recently_used_goes_first():
    asked = []

    def read(wanted):
        asked.extend(one.start for one in wanted)
        return [bytes(10)] * len(wanted)

    kept = Blocks(35, read)
    kept.get([block(0), block(1), block(2), block(0)])
    kept.get([block(0)])
    assert asked == [0, 1, 2]
    kept.get([block(3)])  # in the place of 1
    assert kept._size == 30 == sum(map(len, kept._kept.values()))
    kept.get([block(0), block(2), block(3)])
    assert asked == [0, 1, 2, 3]
    kept.get([block(1)])
    assert asked == [0, 1, 2, 3, 1]
    kept.get([block(i) for i in range(10, 20)])  # more than there is room for
    assert kept._size == 30


def test_a_file_that_was_written_again_is_read_again():
    asked = []
    kept = Blocks(100, lambda wanted: asked.append(wanted) or [b"x"] * len(wanted))
    kept.get([block(0, (1,))])
    kept.get([block(0, (2,))])
    assert len(asked) == 2


def test_a_block_that_many_threads_want_is_read_once():
    count, gate = [], threading.Event()

    def read(wanted):
        count.append(len(wanted))
        gate.wait(5)
        return [str(one.start).encode() for one in wanted]

    kept = Blocks(10**6, read)
    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(kept.get, [block(7), block(8)]) for _ in range(8)]
        time.sleep(0.1)
        gate.set()
        assert {tuple(answer.result()) for answer in answers} == {(b"7", b"8")}
    assert count == [2]


def test_an_error_reaches_all_who_wait_and_is_not_kept():
    gate, faults = threading.Event(), [UserError("down")]

    def read(wanted):
        gate.wait(5)
        if faults:
            raise faults.pop()
        return [b"x"] * len(wanted)

    kept = Blocks(100, read)
    with ThreadPoolExecutor(2) as pool:
        answers = [pool.submit(kept.get, [block(0)]) for _ in range(2)]
        time.sleep(0.1)
        gate.set()
        assert [str(answer.exception()) for answer in answers] == ["down", "down"]
    assert kept.get([block(0)]) == [b"x"]


def _hold(limit, held, go):
    """Holds the lock of the shared blocks while the parent forks."""
    with shared(limit)._lock:
        held.set()
        go.wait(10)


def _child(limit, queue):
    queue.put(shared(limit)._lock.acquire(timeout=1))


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning", "ignore:.*fork:RuntimeWarning")
def test_a_forked_process_has_blocks_of_its_own():
    held, go = threading.Event(), threading.Event()
    thread = threading.Thread(target=_hold, args=(123, held, go))
    thread.start()
    held.wait(5)
    try:
        context = multiprocessing.get_context("fork")
        queue = context.SimpleQueue()
        child = context.Process(target=_child, args=(123, queue))
        child.start()
        child.join(10)
        assert child.exitcode == 0 and queue.get()
    finally:
        go.set()
        thread.join()
