"""The Grain pipeline: chunks of batches in the order of the stream, ready for the devices.

One element is one chunk, some or all of the batches between two stops. It is a pure function of its
first and last step, so the position of the pipeline is the step itself: a resumed run asks for the
chunks that are left. Each host makes those rows of the global batch that its devices hold.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import grain
import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding

from rare_retention.parallel import sharding

Source = Callable[[range, slice], Any]
"""Steps, rows of their global batches -> an array [steps, rows, ...], or a tree of them."""

LARGEST = 2**24
"""Bytes of a chunk of one host, unless one batch has more.

Memory of that size is used again; glibc asks the system for more than 32 MiB anew each time.
"""


class Chunk(NamedTuple):
    """Batches start, ..., stop - 1.

    Attributes:
        start: first step.
        stop: step after the last.
        batches: leaves [L, B, ...] on the devices; batches from stop - start on are zeros.
    """

    start: int
    stop: int
    batches: Any


def spans(stops: Sequence[int], start: int, longest: int) -> list[tuple[int, int]]:
    """The chunks (first step, step after the last) that lead from state `start` through `stops`.

    Args:
        stops: states at which a chunk must end.
        start: state to begin from.
        longest: batches that a chunk may have.
    """
    later = [stop for stop in stops if stop > start]
    found = []
    for first, stop in itertools.pairwise([start, *later]):
        pieces = -(-(stop - first) // longest)
        length = -(-(stop - first) // pieces)  # of all but the last, which alone is padded
        found += list(itertools.pairwise([*range(first, stop, length), stop]))
    return found


def chunk_length(batch: int, longest: int, largest: int = LARGEST) -> int:
    """Batches of every chunk, L: equal pieces of the longest one.

    Args:
        batch: bytes of the rows of a batch that one host makes.
        longest: batches that a chunk may have.
        largest: bytes that a chunk of one host may have, if it is more than one batch.
    """
    fitting = max(1, largest // batch)
    return -(-longest // -(-longest // fitting))


def chunks(
    source: Source,
    rows: int,
    stops: Sequence[int],
    start: int,
    mesh: Mesh,
    longest: int,
    largest: int = LARGEST,
) -> Iterator[Chunk]:
    """Chunks from state `start` on; Grain builds the next ones while the devices compute.

    Args:
        source: of the batches.
        rows: of the global batch.
        stops: states at which a chunk must end.
        start: state to begin from.
        mesh: that the batches are spread over.
        longest: batches that a chunk may have. It decides the length L of all chunks, where `stops`
            play no part: runs that stop at other steps share their compiled programs.
        largest: bytes that a chunk of one host may have, if it is more than one batch.
    """
    layout = sharding(mesh, None, "batch")
    local = _local(layout, rows)
    row = sum(leaf.nbytes for leaf in jax.tree.leaves(source(range(1), slice(0, 1))))
    own_rows = sum(part.stop - part.start for part in local)
    length = chunk_length(row * own_rows, longest, largest)
    left = spans(stops, start, length)
    if not left:
        return

    def build(index: int) -> Chunk:
        first, stop = left[index]
        parts = [source(range(first, stop), part) for part in local]
        return Chunk(first, stop, jax.tree.map(lambda *own: _joined(own, length), *parts))

    def place(array: np.ndarray) -> jax.Array:
        def held(index: Any) -> np.ndarray:
            first, stop, _ = index[1].indices(rows)
            here = _place(local, first)
            return array[:, here : here + stop - first]

        return jax.make_array_from_callback((length, rows, *array.shape[2:]), layout, held)

    elements = grain.MapDataset.range(len(left)).map(build)
    options = grain.ReadOptions(num_threads=2, prefetch_buffer_size=3)
    for chunk in elements.to_iter_dataset(options):
        yield chunk._replace(batches=jax.tree.map(place, chunk.batches))


def _joined(parts: Sequence[np.ndarray], length: int) -> np.ndarray:
    """Batches [L, rows, ...] of several ranges of rows as [length, all rows, ...], zeros behind."""
    if len(parts) == 1 and len(parts[0]) == length:
        return parts[0]
    rows = sum(part.shape[1] for part in parts)
    found = np.zeros((length, rows, *parts[0].shape[2:]), parts[0].dtype)
    np.concatenate(parts, axis=1, out=found[: len(parts[0])])
    return found


def _local(layout: NamedSharding, rows: int) -> tuple[slice, ...]:
    """The rows that devices of this host hold, as ascending ranges with others between them.

    Neighbours in a mesh of TPUs are neighbours in space, which may stand on different hosts.
    """
    indices: Any = layout.addressable_devices_indices_map((1, rows)).values()
    found: list[slice] = []
    for start, stop, _ in sorted(index[1].indices(rows) for index in indices):
        if found and start <= found[-1].stop:
            found[-1] = slice(found[-1].start, max(stop, found[-1].stop))
        else:
            found.append(slice(start, stop))
    return tuple(found)


def _place(local: Sequence[slice], row: int) -> int:
    """Where a row of the global batch, which is in one of the ranges, stands among all of them."""
    before = sum(part.stop - part.start for part in local if part.stop <= row)
    (own,) = (part for part in local if part.start <= row < part.stop)
    return before + row - own.start
