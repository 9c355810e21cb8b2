"""Files of token ids: raw and little-endian, like those that AI2 publishes.

They are named .npy or .bin and hold nothing but ids, so a file of n tokens has exactly n times two
or four bytes. A local file is memory-mapped, a remote one is read by ranges (see `blocks`).
"""

import functools
import hashlib
import io
import os
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, NamedTuple

import fsspec
import numpy as np
from etils import epath

from rare_retention.config import config, from_dict
from rare_retention.errors import ConfigError, UserError
from rare_retention.record.files import read_json
from rare_retention.text import ranges

CONTENTS = "corpus.json"
TOKENIZER = "tokenizer.json"
PROGRESS = "progress"  # folder of a corpus that is not finished: its recipe and its finished parts
SUFFIXES = (".npy", ".bin")
LIST = ".txt"
"""Suffix of a file that names token files."""

VERSION = 1  # Raise it with any change that gives an old recipe other bytes.
AGAIN = "copy the corpus again, or run its launch.prepare_corpus again, which mends it"
READERS = 16  # requests to remote storage under way at once: each waits for the network

_VERSIONS = ("generation", "md5Hash", "crc32c", "etag", "ETag")  # as gcsfs and s3fs name them
_WILD = set("*?[")
_NUMPY = b"\x93NUMPY"
_READ = 2**24  # bytes that are read at once
_HEADER = 2**14  # bytes that hold the header of any array of ids
_HEADERS = {
    b"\x1f\x8b\x08\x00": "gzip-compressed",
    b"\x1f\x8b\x08\x08": "gzip-compressed",
    b"\x28\xb5\x2f\xfd": "zstandard-compressed",
    b"BZh91AY": "bzip2-compressed",
    b"\xfd7zXZ\x00": "xz-compressed",
    b"PK\x03\x04": "a zip archive",
    b"PAR1": "a parquet file",
    b"ARROW1": "an Arrow file",
    b"\x89HDF\r\n": "an HDF5 file",
    b"MMIDID": "a Megatron index",
}
_PREPARE = "unpack it, or make a corpus of its documents with `python -m launch.prepare_corpus`"

Dtype = Literal["uint16", "uint32"]


@config
class References:
    """How often natural patterns that resemble the paper's tasks stand in the text (App. C.1)."""

    increase: int = 0
    sum: int = 0


@config
class Recipe:
    """What decides the bytes of a prepared corpus."""

    source: str
    digest: str  # of the names and sizes of the source
    tokenizer: str  # digest of its file, or how it is trained
    end_of_document: str
    shard_documents: int
    version: int = VERSION
    content: str = ""  # digest of what the source holds, of large files of a sample; empty: unknown


@config
class Part:
    """One file of a prepared corpus."""

    name: str
    tokens: int
    documents: int
    digest: str  # SHA-256
    references: References
    sample: str = ""  # as `digests.sample` gives it; empty: unknown, as all below
    texts: str = ""  # SHA-256 of the documents that it was made of


@config
class Contents:
    """What corpus.json says of a folder of token files.

    It is written last: where it exists, the folder is complete.

    Attributes:
        dtype: type of the stored tokens.
        vocabulary: number of token ids.
        end_of_document: token id that ends a document.
        tokens: in all files, those that end documents included.
        documents: how many there are.
        digest: SHA-256 of the digests of all files.
        tokenizer: name of the tokenizer's file in the folder.
        references: how often the text holds each pattern of natural prompts.
        recipe: what the files were made from, and how.
        files: the token files in their order.
        tokenizer_digest: SHA-256 of the tokenizer's file; empty where unknown.
    """

    dtype: Dtype
    vocabulary: int
    end_of_document: int
    tokens: int
    documents: int
    digest: str
    tokenizer: str
    references: References
    recipe: Recipe
    files: tuple[Part, ...]
    tokenizer_digest: str = ""


class DamagedText(UserError):
    """A file of a corpus that is missing or not the one that was made."""


class Absent(ConfigError):
    """Nothing stands under the path of a corpus, or no package is installed that could look."""


def read_contents(folder: epath.Path) -> Contents | None:
    """What the corpus.json of a folder says, None where there is none."""
    path = folder / CONTENTS
    if not path.exists():
        return None
    try:
        return from_dict(Contents, read_json(path))
    except ConfigError as error:
        raise ConfigError(error.field, error.message, str(path)) from None


class TokenFile(NamedTuple):
    """One raw file of ids.

    Attributes:
        path: where it stands, local or gs://.
        dtype: "uint16" or "uint32".
        tokens: how many ids it holds.
        stamp: nanoseconds of its last change and of its last change of status, and its number on
            the disk; of a remote one of its last change, twice, and a digest of the checksums and
            versions that the storage tells. A file that is written again has another. Empty where
            unknown.
    """

    path: epath.Path
    dtype: Dtype
    tokens: int
    stamp: tuple[int, ...] = ()

    @property
    def size(self) -> int:
        """Bytes."""
        return self.tokens * np.dtype(self.dtype).itemsize

    @property
    def changed(self) -> float:
        """When it last changed, in seconds since 1970."""
        return max(self.stamp[:2]) / 1e9

    def read(self, rows: np.ndarray, found: np.ndarray) -> None:
        """Reads windows of the file.

        Args:
            rows: numbers of windows, int64 [n]; window r is the tokens r * T and on.
            found: takes the tokens, in the dtype of the file, [n, T].
        """
        window = found.shape[1]
        if is_local(self.path):
            mapped = _mapped(str(self.path), found.dtype, self.stamp)
            whole = mapped[: self.tokens // window * window]
            # Clipping takes nothing from rows that are there, and writes without another copy.
            np.take(whole.reshape(-1, window), rows, axis=0, out=found, mode="clip")
            return
        size = window * found.itemsize
        asked = [
            ranges.Range(str(self.path), row * size, (row + 1) * size) for row in rows.tolist()
        ]
        for content, tokens in zip(ranges.read(asked), found, strict=True):
            tokens[:] = np.frombuffer(content, found.dtype)

    def piece(self, start: int, stop: int) -> bytes:
        """Bytes `start` to `stop` of the file, read by themselves: nothing is read ahead.

        Raises:
            UserError: the file has become shorter since it was opened.
        """
        return piece(self.path, start, stop)


def piece(path: epath.Path, start: int, stop: int) -> bytes:
    """Bytes `start` to `stop` of a file, as `TokenFile.piece`."""
    if not is_local(path):
        return ranges.read([ranges.Range(str(path), start, stop)])[0]
    with open(path, "rb", buffering=0) as file:
        file.seek(start)
        content = file.read(stop - start)
    if len(content) < stop - start:
        raise UserError(f"{path}: has become shorter since it was opened; copy it again")
    return content


def pieces(path: epath.Path) -> Iterator[bytes]:
    """All bytes of a file from its start to its end, a few megabytes at a time."""
    if not is_local(path):
        yield from ranges.pieces(str(path), status(path)[0])
        return
    with path.open("rb") as file:
        while content := file.read(_READ):
            yield content


# Each open map holds a file descriptor, of which a process commonly has 1,024.
@functools.lru_cache(maxsize=256)
def _mapped(path: str, kind: np.dtype, stamp: tuple[int, ...]) -> np.ndarray:
    del stamp  # a file that was written again is mapped again
    return np.asarray(np.memmap(path, kind, mode="r"))


def little_endian(dtype: Dtype) -> np.dtype:
    """The dtype as it stands in files, on any machine."""
    return np.dtype(dtype).newbyteorder("<")


def is_local(path: epath.Path) -> bool:
    """Whether a file can be memory-mapped."""
    return "://" not in str(path)


def find(path: str) -> list[epath.Path]:
    """The files of a path, sorted by name: a file, a folder's .npy and .bin files, or a glob.

    Raises:
        Absent: nothing is there, or its file system needs a package that is not installed.
        ConfigError: what is there is no corpus.
    """
    try:
        return _find(path)
    except ImportError as error:
        reason = " ".join(str(error).split())
        remedy = "; the extra `gcs` has it" if path.startswith("gs://") else ""
        raise Absent("corpus.path", f"{path}: {reason}{remedy}") from None


def matching(pattern: str) -> list[epath.Path]:
    """The files that a glob matches, sorted by name; a file that is called so is no glob.

    Raises:
        UserError: `**` on remote storage, which would list a whole bucket.
    """
    whole = epath.Path(pattern).expanduser()
    if "**" not in pattern and whole.is_file():
        return [whole]
    parts = whole.parts
    fixed = next((i for i, part in enumerate(parts) if _WILD & set(part)), len(parts) - 1)
    folder, rest = epath.Path(*parts[:fixed]), "/".join(parts[fixed:])
    if is_local(folder):
        found = map(epath.Path, Path(folder).glob(rest))
    elif "**" in rest:
        raise UserError(f"{pattern}: no `**` on remote storage; name the folders with `*`")
    else:
        found = folder.glob(rest)
    return sorted(file for file in found if not file.is_dir())


def _find(path: str) -> list[epath.Path]:
    place = epath.Path(path).expanduser()
    if _WILD & set(path) and not place.exists():
        found = matching(path)
        if not found:
            raise Absent("corpus.path", f"{path}: no file matches")
        return found
    if not place.exists():
        raise Absent("corpus.path", f"{path}: there is no such file or folder")
    if place.suffix == LIST:
        return _named(place)
    if not place.is_dir():
        return [place]
    if (place / PROGRESS).exists() and not (place / CONTENTS).exists():
        raise ConfigError(
            "corpus.path", f"{path}: not finished; run the same launch.prepare_corpus again"
        )
    found = sorted(file for file in place.iterdir() if file.suffix in SUFFIXES)
    if not found and is_local(place):
        below = (epath.Path(path) for path in Path(place).rglob("*"))
        found = sorted(file for file in below if file.suffix in SUFFIXES and not file.is_dir())
    if not found:
        expected = " or ".join(SUFFIXES)
        raise ConfigError("corpus.path", f"{path}: no file of tokens is in it, named {expected}")
    return found


def _named(place: epath.Path) -> list[epath.Path]:
    """The files that a list names, one a line, in its order; relative ones from its folder.

    Raises:
        ConfigError: it names none, or one that is not there.
    """
    names = [line.strip() for line in place.read_text().splitlines()]
    found = [
        epath.Path(name) if "://" in name else place.parent / epath.Path(name).expanduser()
        for name in names
        if name and not name.startswith("#")
    ]
    if not found:
        raise ConfigError("corpus.path", f"{place}: names no file; expected a path in each line")
    for path in found:
        if is_local(path) and not path.exists():
            raise ConfigError("corpus.path", f"{path}: there is no such file, but {place} names it")
    return found


def scan(paths: Iterable[epath.Path], dtype: Dtype) -> list[TokenFile]:
    """Opens files of tokens far enough to know that they can be read.

    Raises:
        UserError: a file is missing, has a header, or its size does not fit the dtype.
    """
    with ThreadPoolExecutor(READERS) as pool:
        return list(pool.map(functools.partial(_scan, dtype=dtype), paths))


def _scan(path: epath.Path, dtype: Dtype) -> TokenFile:
    try:
        size, stamp = status(path)
        start = piece(path, 0, min(8, size))
    except FileNotFoundError:
        raise DamagedText(f"{path}: is missing; {AGAIN}") from None
    if start.startswith(_NUMPY):
        raise UserError(_with_header(path, size))
    for header, kind in _HEADERS.items():
        if start.startswith(header):
            raise UserError(f"{path}: is {kind}, but token files are raw ids; {_PREPARE}")
    tokens, rest = divmod(size, np.dtype(dtype).itemsize)
    if rest:
        raise UserError(
            f"{path}: {size:,} bytes are no whole number of {dtype} tokens; set corpus.dtype to "
            "what the file holds, or copy it again"
        )
    return TokenFile(path, dtype, tokens, stamp)


def _with_header(path: epath.Path, size: int) -> str:
    """What is said of a file that NumPy saved; the conversion keeps every id below 2^32."""
    file = io.BytesIO(piece(path, 0, min(_HEADER, size)))
    version = np.lib.format.read_magic(file)
    read = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}
    kind = read.get(version[0], read[2])(file)[2]
    narrow = kind.kind == "u" and kind.itemsize <= 2
    wanted = "uint16" if narrow else "uint32"
    stored = np.dtype(wanted).newbyteorder("<").str
    return (
        f"{path}: has a NumPy header and {kind.name} ids, but token files are raw: convert it with "
        f"`numpy.load('{path.name}').astype('{stored}').tofile('raw.npy')` and set "
        f"corpus.dtype='{wanted}'"
    )


def status(path: epath.Path) -> tuple[int, tuple[int, ...]]:
    """Bytes and stamp of a file (see `TokenFile`)."""
    if is_local(path):
        local = os.stat(path)
        return local.st_size, (local.st_mtime_ns, local.st_ctime_ns, local.st_ino)
    storage, name = fsspec.url_to_fs(str(path))
    about = storage.info(name)
    return int(about["size"]), _stamp(about)


def _stamp(about: Mapping[str, Any]) -> tuple[int, ...]:
    """The stamp of a remote file, from what fsspec's `info` says of it."""
    changed: Any = about.get("mtime") or about.get("LastModified")
    seconds = changed.timestamp() if hasattr(changed, "timestamp") else changed
    if not isinstance(seconds, int | float):
        return ()
    told = [str(about[name]) for name in _VERSIONS if about.get(name)]
    digest = hashlib.sha256("\n".join(told).encode()).hexdigest()
    return (int(seconds * 10**9),) * 2 + ((int(digest[:15], 16),) if told else ())
