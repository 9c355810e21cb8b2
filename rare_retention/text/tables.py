"""Documents in tables: Parquet files, and data sets of the package `datasets`."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from etils import epath

from rare_retention.config import fingerprint
from rare_retention.errors import UserError
from rare_retention.text.token_files import is_local


class Parquet:
    """Parquet files with a column of texts, a document a row.

    Attributes:
        name: the source, as it was asked for.
        digest: 16 hex digits of its names and sizes; the column stands in the name.
        content: 16 hex digits of its bytes.

    Args:
        name: the source, as it was asked for.
        files: the files, in their order.
        key: column that holds the text.
        digests: of the files.
    """

    def __init__(
        self, name: str, files: Sequence[epath.Path], key: str, digests: tuple[str, str]
    ) -> None:
        import pyarrow.parquet as parquet

        self.name = f"{name}, {key}"
        self.digest, self.content = digests
        self._key = key
        self._groups: list[tuple[epath.Path, int]] = []
        counts = []
        for path in files:
            try:
                with _opened(path) as file:
                    table = parquet.ParquetFile(file)
                    columns, about = table.schema_arrow.names, table.metadata
            except Exception as error:  # pyarrow raises whatever it met
                raise UserError(f"{path}: no Parquet file ({_line(error)})") from None
            if key not in columns:
                raise UserError(
                    f"{path}: no column {key!r}; it has {', '.join(columns)}: name one with "
                    "--text_key"
                )
            for group in range(about.num_row_groups):
                self._groups.append((path, group))
                counts.append(about.row_group(group).num_rows)
        self._ends = list(accumulate(counts))
        self._held: tuple[int, list[Any]] = (-1, [])

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, index: int) -> str:
        place = bisect_right(self._ends, index)
        path, group = self._groups[place]
        if self._held[0] != place:
            import pyarrow.parquet as parquet

            try:
                with _opened(path) as file:
                    table = parquet.ParquetFile(file)
                    column = table.read_row_group(group, columns=[self._key]).column(0)
            except Exception as error:  # as above
                raise UserError(f"{path}: damaged ({_line(error)})") from None
            self._held = (place, column.to_pylist())
        first = self._ends[place - 1] if place else 0
        where = f"{path}: group {group}, row {index - first:,}"
        return _text(self._held[1][index - first], where, self._key)


class HfTexts:
    """The texts of a data set of Hugging Face's `datasets`, or of a folder that it has saved.

    Attributes:
        name: the source, as it was asked for.
        digest: 16 hex digits of its fingerprint, number of rows and column.
        content: empty: the data set's fingerprint stands for its bytes.

    Args:
        what: NAME[/CONFIG as NAME:CONFIG], or the folder of `save_to_disk`.
        split: which part, such as "train" or "train[:10%]".
        key: column that holds the text.
    """

    def __init__(self, what: str, split: str, key: str) -> None:
        import datasets

        self.name = f"hf:{what}, {split}, {key}"
        folder = Path(what).expanduser()
        try:
            if folder.is_dir() and not list(folder.glob("*.py")):
                found: Any = _saved(datasets, folder, split)
            else:
                name, _, config = what.partition(":")
                found = datasets.load_dataset(name, config or None, split=split)
        except UserError:
            raise
        except Exception as error:  # a data set may raise anything
            raise UserError(f"--source=hf:{what}: {_line(error)}") from None
        if key not in found.column_names:
            columns = ", ".join(found.column_names)
            raise UserError(f"--text_key={key}: no column of hf:{what}; it has {columns}")
        self._rows, self._key = found, key
        about = {"fingerprint": found._fingerprint, "rows": len(found), "key": key}
        self.digest, self.content = fingerprint(about), ""

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> str:
        return _text(self._rows[index][self._key], f"{self.name}: row {index:,}", self._key)


def _opened(path: epath.Path) -> Any:
    """A file to be read by ranges: as pyarrow opens a local one, or as epath does."""
    import pyarrow

    return pyarrow.OSFile(str(path)) if is_local(path) else path.open("rb")


def _saved(datasets: Any, folder: Path, split: str) -> Any:
    """What `save_to_disk` has written: one data set, or several by the names of their splits.

    Raises:
        UserError: it has no such split.
    """
    found = datasets.load_from_disk(str(folder))
    if not isinstance(found, datasets.DatasetDict):
        if split != "train":
            raise UserError(f"--split={split}: {folder} holds one data set, without splits")
        return found
    if split not in found:
        raise UserError(f"--split={split}: not in {folder}; it has {', '.join(found)}")
    return found[split]


def _text(found: Any, where: str, key: str) -> str:
    if not isinstance(found, str):
        raise UserError(f"{where}: {key}: expected a text, got {type(found).__name__}")
    return found


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
