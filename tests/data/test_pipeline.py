import jax
import numpy as np
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


def test_a_resumed_pipeline_yields_the_same_chunks():
    mesh = make_mesh(MeshShape(data=8))
    whole = list(chunks(schedule(), STOPS, 0, mesh))
    resumed = list(chunks(schedule(), STOPS, 3, mesh))
    assert [stop for stop, _ in resumed] == [4, 9]
    for (_, a), (_, b) in zip(whole[1:], resumed, strict=True):
        np.testing.assert_array_equal(jax.device_get(a), jax.device_get(b))


def test_nothing_is_left_at_the_end():
    assert list(chunks(schedule(), STOPS, 9, make_mesh(MeshShape()))) == []
