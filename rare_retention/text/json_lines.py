"""Documents in files of JSON lines, plain or compressed, as Dolma and others are published."""

import gzip
import io
import json
import lzma
import zlib
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate
from typing import IO, Any

from etils import epath

from rare_retention.errors import UserError
from rare_retention.text.token_files import READERS

_PIECE = 1 << 20  # bytes
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


class JsonLines:
    """Files whose lines are JSON objects with a text in one of their fields, a document each.

    Lines are read in order: a document before the last one that was asked for is found from the
    start of its file. Empty lines are none.

    Attributes:
        name: the source, as it was asked for.
        digest: 16 hex digits of its names and sizes; the field stands in the name.
        content: 16 hex digits of its bytes.

    Args:
        name: the source, as it was asked for.
        files: the files, in their order.
        key: field that holds the text.
        digests: of the files.
    """

    def __init__(
        self, name: str, files: Sequence[epath.Path], key: str, digests: tuple[str, str]
    ) -> None:
        self.name = f"{name}, {key}"
        self.digest, self.content = digests
        self._files, self._key = files, key
        with ThreadPoolExecutor(READERS) as pool:
            counts = list(pool.map(_count, files))
        self._ends = list(accumulate(counts))
        self._reading: Iterator[tuple[int, bytes]] = iter(())
        self._file, self._next = -1, 0

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, index: int) -> str:
        place = bisect_right(self._ends, index)
        path = self._files[place]
        first = self._ends[place - 1] if place else 0
        if self._file != place or self._next > index:
            self._reading, self._file, self._next = lines(path), place, first
        for number, line in self._reading:
            self._next += 1
            if self._next > index:
                return self._text(path, number, line)
        raise UserError(f"{path}: has fewer lines than when it was opened")

    def _text(self, path: epath.Path, number: int, line: bytes) -> str:
        """The text of a line.

        Raises:
            UserError: it is no JSON object, or lacks the text.
        """
        try:
            found = json.loads(line)
        except ValueError as error:
            raise UserError(
                f"{path}:{number}: no JSON ({error}); expected an object in each line"
            ) from None
        if not isinstance(found, dict):
            raise UserError(f"{path}:{number}: expected an object, got {type(found).__name__}")
        if self._key not in found:
            keys = ", ".join(found) or "none"
            raise UserError(
                f"{path}:{number}: no field {self._key!r}; it has {keys}: name one with --text_key"
            )
        text: Any = found[self._key]
        if not isinstance(text, str):
            raise UserError(
                f"{path}:{number}: {self._key}: expected a text, got {type(text).__name__}"
            )
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise UserError(
                f"{path}:{number}: {self._key}: half of a character at place {error.start:,}; mend "
                "the line, or leave it out"
            ) from None
        return text


def lines(path: epath.Path) -> Iterator[tuple[int, bytes]]:
    """Lines of a file that are not empty, with their numbers from 1 on.

    Raises:
        UserError: it cannot be decompressed.
        ImportError: it is compressed with zstd, and there is no package that reads it.
    """
    with path.open("rb") as raw:
        start = raw.read(4)
        raw.seek(0)
        try:
            with _plain(raw, start) as file:
                for number, line in enumerate(file, 1):
                    own = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
                    if own.strip():
                        yield number, own
        except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
            raise UserError(f"{path}: cannot be decompressed ({error})") from None


def _plain(raw: IO[bytes], start: bytes) -> IO[bytes]:
    if start.startswith(_GZIP):
        return gzip.open(raw)  # type: ignore[return-value]
    if start.startswith(_ZSTD):
        return io.BufferedReader(_Zstd(raw))
    return io.BufferedReader(raw)  # type: ignore[type-var]


class _Zstd(io.RawIOBase):
    """What frames of zstandard hold; one that is cut off is an error."""

    def __init__(self, raw: IO[bytes]) -> None:
        import zstandard

        self._raw, self._package = raw, zstandard
        self._frame: Any = None
        self._compressed, self._plain = b"", b""

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fills a buffer as far as one piece goes; 0 at the end."""
        while not self._plain:
            self._compressed = self._compressed or self._raw.read(_PIECE)
            if not self._compressed:
                if self._frame is not None:
                    raise EOFError("the last frame is cut off")
                return 0
            if self._frame is None:
                self._frame = self._package.ZstdDecompressor().decompressobj()
            try:
                self._plain = self._frame.decompress(self._compressed)
            except self._package.ZstdError as error:
                raise EOFError(str(error)) from None
            self._compressed = b""
            if self._frame.eof:
                self._compressed, self._frame = self._frame.unused_data, None
        count = min(len(buffer), len(self._plain))
        buffer[:count], self._plain = self._plain[:count], self._plain[count:]
        return count


def _count(path: epath.Path) -> int:
    return sum(1 for _ in lines(path))
