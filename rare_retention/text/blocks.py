"""Windows of files on object stores, read by blocks that are kept in memory up to a limit.

How large a block is depends on whether what is read beside a window will be used. It is where
windows come in the order of the files, or all files fit into the memory: then a block is about
1 MiB. Otherwise, in a random order, a window is a request of its own: whatever their size, the
blocks in memory hold the next window with the same probability, the share of the text that they
are, so that larger ones would only multiply the bytes that are read.

fsspec has caches of its own, but for one open file each; here all files share one limit.
"""

import functools
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import NamedTuple, Protocol

import numpy as np
from etils import epath

from rare_retention.text import ranges
from rare_retention.text.ranges import Range

BLOCK = 2**20
"""Bytes of a large block, about: it holds whole windows."""

_SHARE = 4  # part of the limit that one call holds at once, and that is read ahead


class Block(NamedTuple):
    """A part of a file that is read by one request.

    Attributes:
        range: which bytes of which file.
        stamp: of the file: one that was written again has another.
    """

    range: Range
    stamp: tuple[int, ...]


class Blocks:
    """Blocks in memory; the one that was used least recently goes first. Safe on any thread.

    A block that several threads want at once is read once.

    Args:
        limit: bytes that are kept at most.
        read: gives the bytes of ranges.
    """

    def __init__(
        self, limit: int, read: Callable[[Sequence[Range]], list[bytes]] = ranges.read
    ) -> None:
        self._limit, self._read = limit, read
        self._kept: OrderedDict[Block, bytes] = OrderedDict()
        self._size = 0
        self._coming: dict[Block, Future[bytes]] = {}
        self._lock = threading.Lock()

    def get(self, wanted: Sequence[Block]) -> list[bytes]:
        """The bytes of blocks, from memory or read at once.

        Raises:
            UserError: one cannot be read.
        """
        found: dict[Block, bytes] = {}
        own: dict[Block, Future[bytes]] = {}
        others: dict[Block, Future[bytes]] = {}
        with self._lock:
            for block in dict.fromkeys(wanted):
                if block in self._kept:
                    self._kept.move_to_end(block)
                    found[block] = self._kept[block]
                elif block in self._coming:
                    others[block] = self._coming[block]
                else:
                    own[block] = self._coming[block] = Future()
        if own:
            self._fill(own)
        found |= {block: future.result() for block, future in (own | others).items()}
        return [found[block] for block in wanted]

    def _fill(self, own: dict[Block, "Future[bytes]"]) -> None:
        """Reads blocks, keeps them, and hands them to whoever waits."""
        try:
            contents = self._read([block.range for block in own])
        except BaseException as error:
            with self._lock:
                for block in own:
                    del self._coming[block]
            for future in own.values():
                future.set_exception(error)
            raise
        with self._lock:
            for block, content in zip(own, contents, strict=True):
                del self._coming[block]
                self._keep(block, content)
        for future, content in zip(own.values(), contents, strict=True):
            future.set_result(content)

    def _keep(self, block: Block, content: bytes) -> None:
        self._kept[block] = content
        self._size += len(content)
        while self._size > self._limit:
            self._size -= len(self._kept.popitem(last=False)[1])


@functools.lru_cache(maxsize=1)
def shared(limit: int) -> Blocks:
    """The blocks of this process: runs of several window lengths share one limit."""
    return Blocks(limit)


# A forked process would find locks that no thread of it will ever give back.
os.register_at_fork(after_in_child=shared.cache_clear)


class _Stored(Protocol):
    """A file of tokens, as `token_files.TokenFile`."""

    @property
    def path(self) -> epath.Path: ...

    @property
    def size(self) -> int: ...

    @property
    def stamp(self) -> tuple[int, ...]: ...


class Reader:
    """Reads windows of files that stand on an object store.

    Args:
        files: in their order.
        window: bytes of a window.
        limit: bytes of blocks that the process keeps at most.
        sequential: whether windows are read in the order of the files: then as much again is read
            ahead.
    """

    def __init__(
        self, files: Sequence[_Stored], window: int, limit: int, *, sequential: bool
    ) -> None:
        self._files, self._window, self._limit, self._sequential = files, window, limit, sequential
        large = sequential or sum(file.size for file in files) <= limit
        largest = min(BLOCK, limit // _SHARE) if large else 0
        self._rows = max(1, largest // window)  # of a block
        self._round = max(1, limit // _SHARE // (self._rows * window))  # blocks held at once
        self._ahead = threading.Lock()  # held while blocks are read ahead

    def read(self, number: np.ndarray, rows: np.ndarray, found: np.ndarray) -> None:
        """Reads windows.

        Args:
            number: of the file of each, int64 [n].
            rows: row r of a file is its r-th window, int64 [n].
            found: takes the tokens, in the dtype of the files, [n, T].

        Raises:
            UserError: a file is missing, has become shorter, or does not answer.
        """
        if not len(rows):
            return
        block = rows // self._rows
        order = np.lexsort((block, number))
        keys = np.stack([number[order], block[order]])
        first = np.flatnonzero(np.any(np.diff(keys, prepend=-1), axis=0))
        groups = np.split(order, first[1:])
        places: list[tuple[int, int]] = list(zip(*keys[:, first].tolist(), strict=True))
        for start in range(0, len(places), self._round):
            some = slice(start, start + self._round)
            contents = shared(self._limit).get([self._block(*place) for place in places[some]])
            for group, place, content in zip(groups[some], places[some], contents, strict=True):
                tokens = np.frombuffer(content, found.dtype).reshape(-1, found.shape[1])
                found[group] = tokens[rows[group] - place[1] * self._rows]
        if self._sequential:
            self._read_ahead(*places[-1], min(len(places) + 1, self._round))

    def _block(self, number: int, block: int) -> Block:
        file = self._files[number]
        size = self._rows * self._window
        stop = min((block + 1) * size, file.size // self._window * self._window)
        return Block(Range(str(file.path), block * size, stop), file.stamp)

    def _following(self, number: int, block: int) -> Iterator[Block]:
        """The blocks behind one, on into the next files."""
        for i in range(number, len(self._files)):
            count = -(-(self._files[i].size // self._window) // self._rows)
            for j in range(block + 1 if i == number else 0, count):
                yield self._block(i, j)

    def _read_ahead(self, number: int, block: int, count: int) -> None:
        """Reads the next blocks on a thread of its own, unless one does so already."""
        following = self._following(number, block)
        wanted = [found for found, _ in zip(following, range(count), strict=False)]
        if not wanted or not self._ahead.acquire(blocking=False):
            return

        def run() -> None:
            try:
                shared(self._limit).get(wanted)
            except Exception:  # whoever needs the block reads it again, and says what is wrong
                pass
            finally:
                self._ahead.release()

        threading.Thread(target=run, daemon=True, name="read ahead").start()
