"""Sources of documents: texts with random access, so that preparing them can stop and go on.

A source is written as KIND or KIND:WHAT:

    stdlib              the sources of Python's own standard library, without its tests
    text:GLOB           files of plain text, a document each
    jsonl:GLOB          JSON lines, plain, .gz or .zst, a document a line, its text in `text_key`
    parquet:GLOB        Parquet files, a document a row, its text in the column `text_key`
    hf:NAME[:CONFIG]    data sets of the package `datasets`, or a folder that it has saved
    array_record:GLOB   ArrayRecord files, a document a record
    tfds:NAME           TensorFlow Datasets, NAME[/CONFIG][:VERSION], without TensorFlow
"""

import codecs
import glob
import json
import sysconfig
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, Protocol

from etils import epath

from rare_retention.config import fingerprint
from rare_retention.errors import UserError
from rare_retention.text import digests
from rare_retention.text.json_lines import JsonLines, lines
from rare_retention.text.tables import HfTexts, Parquet
from rare_retention.text.token_files import READERS, matching, piece

_LEFT_OUT = {"test", "tests", "idle_test", "site-packages", "dist-packages", "__pycache__"}


class Documents(Protocol):
    """A sequence of texts.

    Attributes:
        name: the source, as it was asked for.
        digest: 16 hex digits of what the source holds, by names and sizes.
        content: 16 hex digits of its bytes, of large files of a sample; empty where they are not
            looked at, as those of TFDS's versions.
    """

    name: str
    digest: str
    content: str

    def __len__(self) -> int:
        """How many documents there are."""

    def __getitem__(self, index: int) -> str:
        """The text of one document.

        Raises:
            UserError: it is no UTF-8.
        """


def open_documents(
    source: str, *, text_key: str = "text", split: str = "train", data_dir: str | None = None
) -> Documents:
    """Opens a source.

    Args:
        source: KIND or KIND:WHAT, as above.
        text_key: field, column or feature that holds the text.
        split: split of a TFDS or Hugging Face data set, which may be a slice, "train[:10%]".
        data_dir: folder of TFDS data sets, None for its default.

    Raises:
        UserError: there is no such source, or it is empty.
    """
    kind, _, what = source.partition(":")
    match kind:
        case "stdlib" if not what:
            return standard_library()
        case "text" if what:
            files = _files(source, what)
            _check_prose(source, files, text_key)
            return TextFiles(source, files)
        case "jsonl" if what:
            files = _files(source, what)
            return JsonLines(source, files, text_key, _digests(files))
        case "parquet" if what:
            files = _files(source, what)
            return Parquet(source, files, text_key, _digests(files))
        case "hf" if what:
            return HfTexts(what, split, text_key)
        case "array_record" if what:
            return ArrayRecords(source, _files(source, what))
        case "tfds" if what:
            return TfdsTexts(what, split, text_key, data_dir)
    raise UserError(
        f"--source={source}: expected stdlib, text:GLOB, jsonl:GLOB, parquet:GLOB, hf:NAME, "
        "array_record:GLOB or tfds:NAME"
    )


class TextFiles:
    """Files of plain text, a document each.

    Args:
        name: the source, as it was asked for.
        files: the files, in their order.
        root: folder whose name is no part of the digest.
    """

    def __init__(
        self, name: str, files: Sequence[epath.Path], root: epath.Path | None = None
    ) -> None:
        self.name = name
        self.digest, self.content = _digests(files, root)
        self._files = files

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> str:
        return _decode(self._files[index].read_bytes(), str(self._files[index]))


def standard_library() -> TextFiles:
    """The .py files of this Python's standard library, sorted by name; 12 MB, 700 documents.

    Tests, installed packages, files that the build of Python wrote, and what is no UTF-8 are left
    out, so that one version of Python gives the same text on every machine.
    """
    root = epath.Path(sysconfig.get_path("stdlib"))
    files = [
        file
        for file in matching(f"{glob.escape(str(root))}/**/*.py")
        if not _LEFT_OUT & set(file.relative_to(root).parts)
        and not file.name.startswith(("_sysconfigdata", "sitecustomize"))
        and _is_utf8(file.read_bytes())
    ]
    if not files:
        raise UserError(f"stdlib: this Python keeps no sources in {root}; name another source")
    return TextFiles("stdlib", files, root)


class ArrayRecords:
    """ArrayRecord files, a document a record.

    Args:
        name: the source, as it was asked for.
        files: the files, in their order.
    """

    def __init__(self, name: str, files: Sequence[epath.Path]) -> None:
        # Imported here, as TFDS below: images of accelerators, which read tokens alone, lack them.
        from array_record.python.array_record_data_source import ArrayRecordDataSource

        self.name = name
        self.digest, self.content = _digests(files)
        try:
            self._records = ArrayRecordDataSource([str(file) for file in files])
        except Exception as error:  # its C++ core raises whatever it met
            raise UserError(f"--source={name}: {_first_line(error)}") from None

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: int) -> str:
        return _decode(self._records[index], f"--source={self.name}: record {index}")


class TfdsTexts:
    """The texts of a TensorFlow Datasets data set, prepared as ArrayRecord where it is not yet.

    Args:
        name: NAME[/CONFIG][:VERSION].
        split: which part, such as "train" or "train[:10%]".
        text_key: feature that holds the text.
        data_dir: folder of data sets, None for the default of TFDS.
    """

    def __init__(self, name: str, split: str, text_key: str, data_dir: str | None) -> None:
        import tensorflow_datasets as tfds

        self.name = f"tfds:{name}, {split}, {text_key}"
        try:
            self._examples: Any = tfds.data_source(
                name,
                split=split,
                data_dir=data_dir,
                builder_kwargs={"file_format": "array_record"},
            )
        except Exception as error:  # a builder may raise anything
            raise UserError(f"--source=tfds:{name}: {_first_line(error)}") from None
        info = self._examples.dataset_info
        if text_key not in info.features:
            keys = ", ".join(info.features)
            raise UserError(f"--text_key={text_key}: no feature of {info.full_name}; it has {keys}")
        self.digest = fingerprint({"name": info.full_name, "examples": len(self._examples)})
        self.content = ""
        self._key = text_key

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, index: int) -> str:
        text = self._examples[index][self._key]
        if not isinstance(text, bytes):
            raise UserError(
                f"--text_key={self._key}: expected a text, got {type(text).__name__} in {self.name}"
            )
        return _decode(text, f"{self.name}: document {index}")


def _files(source: str, pattern: str) -> list[epath.Path]:
    found = matching(pattern)
    if not found:
        raise UserError(f"--source={source}: no file matches")
    return found


_COMPRESSED = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"PAR1": "Parquet",
}


def _check_prose(source: str, files: Sequence[epath.Path], text_key: str) -> None:
    """Refuses files that hold texts in another form: read as prose they would be tokenised so.

    Raises:
        UserError: the first or the last is compressed, a table, or JSON lines that are named so or
            have the text's field.
    """
    for path in {files[0], files[-1]}:
        with path.open("rb") as file:
            start = file.read(4)
        what = source.partition(":")[2]
        for mark, name in _COMPRESSED.items():
            if start.startswith(mark):
                kind = "parquet" if name == "Parquet" else "jsonl"
                raise UserError(f"{path}: is {name}, no plain text; try --source={kind}:{what}")
        first = next((line for _, line in lines(path)), b"")
        try:
            found = json.loads(first) if first.lstrip().startswith(b"{") else None
        except ValueError:
            continue
        named = path.name.endswith((".jsonl", ".ndjson"))
        if isinstance(found, dict) and (named or isinstance(found.get(text_key), str)):
            raise UserError(
                f"{path}: holds JSON lines with the fields {', '.join(found)}, no prose; expected "
                f"--source=jsonl:{what}, and the field with the text as --text_key"
            )


class _File(NamedTuple):
    """A file of a source, which can be read by ranges."""

    path: epath.Path
    size: int

    def piece(self, start: int, stop: int) -> bytes:
        return piece(self.path, start, stop)


def _digests(files: Sequence[epath.Path], root: epath.Path | None = None) -> tuple[str, str]:
    """16 hex digits of the files' names, those below `root` if it is given, and sizes; of bytes."""
    names = [str(file.relative_to(root)) if root else file.name for file in files]
    with ThreadPoolExecutor(READERS) as pool:
        sizes = list(pool.map(lambda file: file.stat().length, files))
    found = digests.digests([_File(*each) for each in zip(files, sizes, strict=True)])
    return fingerprint({"files": list(zip(names, sizes, strict=True))}), fingerprint(
        {"version": digests.VERSION, "digests": found}
    )


def _decode(content: bytes, where: str) -> str:
    try:
        return content.removeprefix(codecs.BOM_UTF8).decode()
    except UnicodeDecodeError as error:
        raise UserError(
            f"{where}: not UTF-8 (byte {error.start:,}); convert it, or leave it out"
        ) from None


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def _first_line(error: Exception) -> str:
    """What an error of a library says, without the lists that follow."""
    return str(error).strip().split("\n")[0].split("\t")[0].strip()
