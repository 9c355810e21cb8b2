"""The order in which AI2's trainer of OLMo reads the windows of its files.

All windows of all files, numbered in the order of the files, are permuted once an epoch by NumPy's
`Generator.shuffle` on PCG64, seeded with a seed plus the epoch (`IterableDataset` of the package
ai2-olmo). Runs publish the order of the first epoch as `global_indices`, raw uint32.
"""

import functools

import numpy as np
from etils import epath

from rare_retention.config import ConfigError
from rare_retention.text.digests import of_file
from rare_retention.text.token_files import pieces


class FixedOrder:
    """The order of all windows but for the last ones of the first epoch, which are held out.

    Attributes:
        length: windows of an epoch of the training stream.

    Args:
        count: windows.
        held_out: how many of the last ones of the first epoch are kept from training, in all
            epochs; those after it leave them out where they stand.
        seed: of the orders that are computed.
        path: file of the first epoch's, raw uint32; "" computes it.

    Raises:
        ConfigError: the file is not such an order of these windows.
    """

    def __init__(self, count: int, held_out: int, seed: int, path: str = "") -> None:
        if count >= np.iinfo(np.uint32).max:
            raise ConfigError("corpus.order", f"'olmo' numbers up to 2^32 windows, got {count:,}")
        self._count, self._seed = count, seed
        self._first = read(path, count) if path else permuted(count, seed)
        # AI2's files leave out a remainder that would not fill a batch of all ranks.
        self.length = len(self._first) - held_out
        if self.length < 1:
            raise ConfigError(
                "corpus.held_out",
                f"{held_out:,} windows are all of the {len(self._first):,} in {path}; expected "
                "fewer",
            )
        self._held = np.array(self._first[self.length :], np.int64)

    def held_out(self) -> np.ndarray:
        """Numbers of the windows that are never trained on, ascending, int64 [H]."""
        return np.sort(self._held)

    def at(self, epoch: np.ndarray, rank: np.ndarray) -> np.ndarray:
        """Numbers of the windows at places of the training stream.

        Args:
            epoch: of each place, int64 [n].
            rank: place within the epoch, below `length`.

        Returns:
            int64 [n].
        """
        found = np.empty(len(rank), np.int64)
        for one in np.unique(epoch):
            here = epoch == one
            found[here] = self._order(int(one))[rank[here]]
        return found

    def _order(self, epoch: int) -> np.ndarray:
        """What is trained on in an epoch, in its order."""
        if epoch == 0:
            return self._first[: self.length]
        return _without(self._count, self._seed, epoch, self._held.tobytes())


@functools.lru_cache(maxsize=2)
def permuted(count: int, seed: int) -> np.ndarray:
    """The order of one epoch, uint32 [count]."""
    order = np.arange(count, dtype=np.uint32)
    np.random.Generator(np.random.PCG64(seed=seed)).shuffle(order)
    order.setflags(write=False)
    return order


@functools.lru_cache(maxsize=2)
def _without(count: int, seed: int, epoch: int, held: bytes) -> np.ndarray:
    """The order of an epoch without the windows that are held out."""
    kept = np.ones(count, bool)
    kept[np.frombuffer(held, np.int64)] = False
    order = permuted(count, seed + epoch)
    return order[kept[order]]


def read(path: str, count: int) -> np.ndarray:
    """The order that a file holds, uint32 [n].

    Raises:
        ConfigError: it is not there, or no permutation of these windows.
    """
    place = epath.Path(path).expanduser()
    if not place.exists():
        raise ConfigError("corpus.order_file", f"{path}: there is no such file")
    data = b"".join(pieces(place))
    if len(data) % 4:
        raise ConfigError(
            "corpus.order_file", f"{path}: {len(data):,} bytes are no whole number of uint32"
        )
    order = np.frombuffer(data, "<u4")
    if not len(order) or int(order.max()) >= count or len(order) > count:
        most = f"{int(order.max()):,}" if len(order) else "none"
        raise ConfigError(
            "corpus.order_file",
            f"{path}: numbers {len(order):,} windows up to {most}, but the corpus has {count:,} of "
            "this length; expected the file of these token files and this window",
        )
    if len(np.unique(order)) < len(order):
        raise ConfigError("corpus.order_file", f"{path}: names a window twice, so it is no order")
    return order


def digest(path: str) -> str:
    """16 hexadecimal digits of a file's bytes."""
    place = epath.Path(path).expanduser()
    if not place.exists():
        raise ConfigError("corpus.order_file", f"{path}: there is no such file")
    return of_file(place)[:16]
