"""The Grain pipeline: chunks of batches in the order of the schedule, ready for the devices.

One element is one chunk, all the batches between two stops. It is a pure function of its first and
last step, so the position of the pipeline is the step itself: a resumed run asks for the chunks
that are left, on any number of hosts.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import grain
import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding

from rare_retention.data.exposure import Schedule
from rare_retention.parallel import sharding


class Chunk(NamedTuple):
    """Batches start, ..., stop - 1.

    Attributes:
        start: first step.
        stop: step after the last.
        rows: task of each row, int32 [L, B]; L is the longest chunk, batches beyond are zero.
    """

    start: int
    stop: int
    rows: np.ndarray


def spans(stops: Sequence[int], start: int) -> list[tuple[int, int]]:
    """The chunks (first step, step after the last) that lead from state `start` through `stops`."""
    later = [stop for stop in stops if stop > start]
    return list(zip([start, *later], later, strict=False))


def chunks(
    schedule: Schedule, stops: Sequence[int], start: int, mesh: Mesh
) -> Iterator[tuple[int, jax.Array]]:
    """Chunks from state `start` on, as (step after the last, rows int32 [L, B] on the mesh).

    Grain builds the next chunks on its own thread while the devices compute; each host hands over
    all rows and the mesh keeps those of its devices, since ids are a few bytes a row.
    """
    left = spans(stops, start)
    if not left:
        return
    longest = max(stop - first for first, stop in spans(stops, 0))
    layout = sharding(mesh, None, "batch")

    def build(index: int) -> Chunk:
        first, stop = left[index]
        rows = np.zeros((longest, schedule.batch), np.int32)
        for i, step in enumerate(range(first, stop)):
            rows[i] = schedule.rows(step)
        return Chunk(first, stop, rows)

    source = grain.MapDataset.range(len(left)).map(build)
    options = grain.ReadOptions(num_threads=1, prefetch_buffer_size=2)
    for chunk in source.to_iter_dataset(options):
        yield chunk.stop, _place(chunk.rows, layout)


def _place(rows: np.ndarray, layout: NamedSharding) -> jax.Array:
    return jax.make_array_from_callback(rows.shape, layout, lambda index: rows[index])
