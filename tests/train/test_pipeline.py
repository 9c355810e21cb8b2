from types import SimpleNamespace

import grain
import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scheduled import scheduled

from rare_retention.mesh import MeshShape
from rare_retention.parallel import make_mesh
from rare_retention.train import pipeline
from rare_retention.train.pipeline import chunk_length, chunks, spans

STOPS = (3, 4, 9)
LONGEST = 5  # from 4 to 9
ALONE = grain.ReadOptions(num_threads=0, prefetch_buffer_size=0)


def schedule():
    return scheduled([0.5, 0.3, 0.2], 16, placement="burst", gap=3, seed=5)


def source(steps, rows):
    """Batches of the schedule's tasks, with a second array that says which rows these are."""
    tasks = np.stack([schedule().rows(step)[rows] for step in steps])
    return {"task": tasks, "row": np.tile(np.arange(16, dtype=np.int32)[rows], (len(steps), 1))}


@given(st.sets(st.integers(1, 50), min_size=1), st.integers(0, 50), st.integers(1, 60))
def test_spans_cover_every_step_once_and_end_at_the_stops(stops, start, longest):
    found = spans(sorted(stops), start, longest)
    steps = [step for first, stop in found for step in range(first, stop)]
    assert steps == list(range(start, max(max(stops), start)))
    assert all(stop - first <= longest for first, stop in found)
    assert {stop for stop in stops if stop > start} <= {stop for _, stop in found}


def test_chunks_are_equal_pieces_of_the_longest():
    assert chunk_length(100, 10, 1000) == 10
    assert chunk_length(100, 10, 900) == 5  # not nine and one
    assert chunk_length(100, 10, 50) == 1


@pytest.mark.parametrize("largest", [1, 2 * 16 * 8, 2**20])
def test_chunks_carry_the_batches(largest):
    """In chunks of one batch, of two, and from stop to stop."""
    mesh = make_mesh(MeshShape(data=8))
    steps, ends = [], []
    for chunk in chunks(source, 16, STOPS, 0, mesh, LONGEST, largest):
        assert chunk.batches["task"].sharding.spec[1] == ("data", "fsdp")
        for i, step in enumerate(range(chunk.start, chunk.stop)):
            np.testing.assert_array_equal(chunk.batches["task"][i], schedule().rows(step))
            np.testing.assert_array_equal(chunk.batches["row"][i], np.arange(16))
            steps.append(step)
        behind = jax.device_get(chunk.batches["row"])[chunk.stop - chunk.start :]
        assert not behind.any()
        ends.append(chunk.stop)
    assert steps == list(range(9))
    assert ends == {1: [*range(1, 10)], 2 * 16 * 8: [2, 3, 4, 6, 8, 9], 2**20: [*STOPS]}[largest]


@pytest.mark.parametrize("hosts", [1, 2, 4, 8])
def test_the_global_batch_is_the_same_for_any_number_of_hosts(hosts):
    mesh = make_mesh(MeshShape(data=hosts))
    for chunk in chunks(source, 16, STOPS, 0, mesh, LONGEST):
        rows = chunk.batches["task"]
        pieces = sorted(rows.addressable_shards, key=lambda piece: piece.index[1].start or 0)
        assert [piece.data.shape[1] for piece in pieces] == [16 // hosts] * hosts
        whole = np.concatenate([np.asarray(piece.data) for piece in pieces], axis=1)
        np.testing.assert_array_equal(whole[0], schedule().rows(chunk.start))


def held(*ranges):
    """The layout of a host whose devices hold these rows."""
    found = {i: (slice(None), rows) for i, rows in enumerate(ranges)}
    return SimpleNamespace(addressable_devices_indices_map=lambda shape: found)


def test_a_host_makes_the_rows_that_its_devices_hold():
    """Some of them may be held twice, and others between them by other hosts."""
    assert pipeline._local(held(slice(8, 12), slice(12, None)), 16) == (slice(8, 16),)
    apart = held(slice(12, 14), slice(0, 2), slice(2, 4), slice(0, 2))
    assert pipeline._local(apart, 16) == (slice(0, 4), slice(12, 14))


@pytest.mark.parametrize("largest", [1, 2**20])
def test_rows_of_a_host_may_have_others_between_them(monkeypatch, largest):
    """Two devices far apart in the mesh: no other row is made, each has its own."""
    made = []

    def watched(steps, rows):
        made.append(rows)
        return source(steps, rows)

    mesh = make_mesh(MeshShape(data=8))
    monkeypatch.setattr(pipeline, "_local", lambda layout, rows: (slice(2, 4), slice(12, 14)))

    def assembled(shape, layout, callback):
        assert shape[1] == 16
        return {i: callback((slice(None), slice(2 * i, 2 * i + 2))) for i in (1, 6)}

    monkeypatch.setattr(pipeline.jax, "make_array_from_callback", assembled)
    monkeypatch.setattr(pipeline.grain, "ReadOptions", lambda **_: ALONE)
    for chunk in chunks(watched, 16, STOPS, 0, mesh, LONGEST, largest):
        for i, step in enumerate(range(chunk.start, chunk.stop)):
            for device, piece in chunk.batches["row"].items():
                np.testing.assert_array_equal(piece[i], [2 * device, 2 * device + 1])
            for device, piece in chunk.batches["task"].items():
                wanted = schedule().rows(step)[2 * device : 2 * device + 2]
                np.testing.assert_array_equal(piece[i], wanted)
    one, *others = made  # the first tells how many bytes a row has
    assert one == slice(0, 1) and others[::2] == [slice(2, 4)] * (len(others) // 2)
    assert others[1::2] == [slice(12, 14)] * (len(others) // 2)


def test_a_resumed_pipeline_yields_the_same_chunks():
    mesh = make_mesh(MeshShape(data=8))
    whole = list(chunks(source, 16, STOPS, 0, mesh, LONGEST))
    resumed = list(chunks(source, 16, STOPS, 3, mesh, LONGEST))
    assert [(chunk.start, chunk.stop) for chunk in resumed] == [(3, 4), (4, 9)]
    for a, b in zip(whole[1:], resumed, strict=True):
        jax.tree.map(np.testing.assert_array_equal, jax.device_get(a), jax.device_get(b))


@pytest.mark.parametrize(("longest", "length"), [(5, 5), (6, 6), (7, 4), (13, 5)])
def test_the_length_of_chunks_owes_nothing_to_the_stops(longest, length):
    """At most six batches fit: equal pieces of the longest chunk that there may be."""
    mesh = make_mesh(MeshShape(data=8))
    for stops in (STOPS, (9,), range(1, 10)):
        found = list(chunks(source, 16, stops, 0, mesh, longest, 6 * 16 * 8))
        assert {len(chunk.batches["task"]) for chunk in found} == {length}
        assert [chunk.stop for chunk in found if chunk.stop in stops] == list(stops)


def test_nothing_is_left_at_the_end():
    assert list(chunks(source, 16, STOPS, 9, make_mesh(MeshShape()), LONGEST)) == []
