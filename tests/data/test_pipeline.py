import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rare_retention.data.exposure import Schedule
from rare_retention.data.pipeline import chunks, spans
from rare_retention.parallel import MeshShape, make_mesh

STOPS = (3, 4, 9)


def schedule():
    return Schedule([0.5, 0.3, 0.2], 16, placement="burst", gap=3, seed=5)


@given(st.sets(st.integers(1, 50), min_size=1), st.integers(0, 50))
def test_spans_cover_every_step_once(stops, start):
    found = spans(sorted(stops), start)
    steps = [step for first, stop in found for step in range(first, stop)]
    assert steps == list(range(start, max(max(stops), start)))


def test_chunks_carry_the_schedule():
    mesh = make_mesh(MeshShape(data=8))
    steps = []
    for stop, rows in chunks(schedule(), STOPS, 0, mesh):
        first = len(steps)
        assert rows.shape == (5, 16) and rows.sharding.spec[1] == "data"
        for i, step in enumerate(range(first, stop)):
            np.testing.assert_array_equal(rows[i], schedule().rows(step))
            steps.append(step)
    assert steps == list(range(9))


@pytest.mark.parametrize("hosts", [1, 2, 4, 8])
def test_the_global_batch_is_the_same_for_any_number_of_hosts(hosts):
    mesh = make_mesh(MeshShape(data=hosts))
    for stop, rows in chunks(schedule(), STOPS, 0, mesh):
        pieces = sorted(rows.addressable_shards, key=lambda piece: piece.index[1].start or 0)
        assert [piece.data.shape[1] for piece in pieces] == [16 // hosts] * hosts
        whole = np.concatenate([np.asarray(piece.data) for piece in pieces], axis=1)
        np.testing.assert_array_equal(whole[0], schedule().rows({3: 0, 4: 3, 9: 4}[stop]))


def test_a_resumed_pipeline_yields_the_same_chunks():
    mesh = make_mesh(MeshShape(data=8))
    whole = list(chunks(schedule(), STOPS, 0, mesh))
    resumed = list(chunks(schedule(), STOPS, 3, mesh))
    assert [stop for stop, _ in resumed] == [4, 9]
    for (_, a), (_, b) in zip(whole[1:], resumed, strict=True):
        np.testing.assert_array_equal(jax.device_get(a), jax.device_get(b))


def test_nothing_is_left_at_the_end():
    assert list(chunks(schedule(), STOPS, 9, make_mesh(MeshShape()))) == []
