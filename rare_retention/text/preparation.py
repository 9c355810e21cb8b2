"""Documents made into files of tokens, once: in parallel, and going on where it was stopped.

Each shard of documents becomes one file, whole or absent. `progress/` in the folder of the corpus
keeps the recipe and what is known of each finished file; corpus.json is written last.
"""

import hashlib
import platform
import re
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from etils import epath
from tqdm import tqdm

from rare_retention.config import difference, from_dict, to_dict
from rare_retention.errors import UserError
from rare_retention.record.files import disk, read_json, user_cache, write, write_json
from rare_retention.text.documents import Documents, standard_library
from rare_retention.text.token_files import (
    CONTENTS,
    PROGRESS,
    TOKENIZER,
    VERSION,
    Contents,
    Dtype,
    Part,
    Recipe,
    References,
    little_endian,
    read_contents,
)
from rare_retention.text.tokenizing import Bpe, TokenizerSource, encode, load

SHARD_DOCUMENTS = 10_000

_RECIPE = "recipe.json"
_CHARACTERS = 2**22  # encoded at once: enough for all cores, and encodings are large in memory

_NUMBER = r"\d[\d,]*(?:\.\d+)?"
_INCREASE = re.compile(rf"increased from {_NUMBER} to\b")
# Starts with plain text, which is found fast, and then looks back for the number before it.
_SUM = re.compile(rf" \+ (?<=\d \+ ){_NUMBER} =(?!=)")


def count_references(text: str) -> References:
    """Counts "increased from {number} to" and "{number} + {number} =" in a text."""
    return References(increase=len(_INCREASE.findall(text)), sum=len(_SUM.findall(text)))


def prepare(
    documents: Documents,
    source: TokenizerSource,
    output: epath.Path,
    *,
    shard_documents: int = SHARD_DOCUMENTS,
    quiet: bool = False,
) -> Contents:
    """Tokenises documents into a folder of token files; finished files of an earlier call stay.

    Args:
        documents: the texts; empty ones are left out.
        source: where the tokenizer comes from.
        output: folder of the corpus, local or gs://.
        shard_documents: documents of a file.
        quiet: show no progress.

    Raises:
        UserError: there is nothing to prepare, or the folder holds a corpus of another recipe.
    """
    if not len(documents):
        raise UserError(f"{documents.name}: holds no documents")
    recipe = Recipe(
        source=documents.name,
        digest=documents.digest,
        tokenizer=source.description,
        end_of_document=source.end_of_document,
        shard_documents=shard_documents,
    )
    if (finished := _earlier(output, recipe)) is not None:
        return finished
    write_json(output / PROGRESS / _RECIPE, to_dict(recipe))
    if not (output / TOKENIZER).exists():
        text = source.text(documents).encode()
        write(output / TOKENIZER, lambda file: file.write(text))
    shards = _Shards(documents, output, recipe)
    with tqdm(total=len(documents), unit=" documents", disable=quiet) as bar:
        parts = tuple(shards.part(number, bar.update) for number in range(len(shards)))
    contents = shards.contents(parts)
    if not contents.tokens:
        raise UserError(f"{documents.name}: all documents are empty")
    write_json(output / CONTENTS, to_dict(contents))
    (output / PROGRESS).rmtree()
    return contents


def _earlier(output: epath.Path, recipe: Recipe) -> Contents | None:
    """The corpus, if it is finished; otherwise the folder is free to be filled.

    Raises:
        UserError: it holds something else.
    """
    contents = read_contents(output)
    started = output / PROGRESS / _RECIPE
    if contents is not None:
        before = contents.recipe
    elif started.exists():
        before = from_dict(Recipe, read_json(started))
    elif output.is_dir() and any(file.name != PROGRESS for file in output.iterdir()):
        raise UserError(f"{output}: holds other files; choose another --output, or empty it")
    else:
        return None
    if lines := difference(to_dict(before), to_dict(recipe)):
        raise UserError(
            f"{output}: holds a corpus of another recipe ({'; '.join(lines)}); choose another "
            "--output"
        )
    return contents


class _Shards:
    """The files of a corpus that is being prepared.

    Args:
        documents: the texts.
        output: folder of the corpus, in which the tokenizer stands.
        recipe: of the corpus.
    """

    def __init__(self, documents: Documents, output: epath.Path, recipe: Recipe) -> None:
        self._documents = documents
        self._output = output
        self._recipe = recipe
        self._tokenizer = load(output / TOKENIZER)
        ids = self._tokenizer.get_vocab(with_added_tokens=True)
        self._vocabulary = max(ids.values()) + 1
        self._end = ids[recipe.end_of_document]
        self._dtype: Dtype = "uint16" if self._vocabulary <= 2**16 else "uint32"

    def __len__(self) -> int:
        return -(-len(self._documents) // self._recipe.shard_documents)

    def part(self, number: int, advance: Callable[[int], object]) -> Part:
        """Makes one file, unless it is there."""
        size = self._recipe.shard_documents
        mine = range(number * size, min((number + 1) * size, len(self._documents)))
        name = f"part-{number:05}"
        note = self._output / PROGRESS / f"{name}.json"
        if note.exists():
            advance(len(mine))
            return from_dict(Part, read_json(note))
        part = self._make(f"{name}.npy", mine, advance)
        write_json(note, to_dict(part))
        return part

    def _make(self, name: str, mine: range, advance: Callable[[int], object]) -> Part:
        pieces, references = [b""], [References()]
        count = 0
        for texts in _batches((self._documents[i] for i in mine), advance):
            for ids in encode(self._tokenizer, texts, self._end):
                pieces.append(ids.astype(little_endian(self._dtype)).tobytes())
            references += map(count_references, texts)
            count += len(texts)
        content = b"".join(pieces)
        write(self._output / name, lambda file: file.write(content))
        return Part(
            name=name,
            tokens=len(content) // np.dtype(self._dtype).itemsize,
            documents=count,
            digest=hashlib.sha256(content).hexdigest(),
            references=_total(references),
        )

    def contents(self, parts: tuple[Part, ...]) -> Contents:
        """What corpus.json says of the finished files."""
        return Contents(
            dtype=self._dtype,
            vocabulary=self._vocabulary,
            end_of_document=self._end,
            tokens=sum(part.tokens for part in parts),
            documents=sum(part.documents for part in parts),
            digest=hashlib.sha256("".join(part.digest for part in parts).encode()).hexdigest(),
            tokenizer=TOKENIZER,
            references=_total([part.references for part in parts]),
            recipe=self._recipe,
            files=parts,
        )


def _batches(texts: Iterable[str], advance: Callable[[int], object]) -> Iterator[list[str]]:
    """The texts that are not empty, some at a time: enough for all cores, not for the memory."""
    batch: list[str] = []
    characters = 0
    for text in texts:
        if text:
            batch.append(text)
            characters += len(text)
        if characters >= _CHARACTERS:
            yield batch
            batch, characters = [], 0
        advance(1)
    if batch:
        yield batch


def _total(references: Sequence[References]) -> References:
    return References(
        increase=sum(each.increase for each in references),
        sum=sum(each.sum for each in references),
    )


def embedded(vocabulary: int) -> epath.Path:
    """Folder of the embedded corpus: the standard library's sources, under a BPE trained on them.

    It is made on first use, in a folder of its own that then takes its name, so that processes may
    do so at once. It stands in `rare_retention/corpora` of ~/.cache, or of XDG_CACHE_HOME.

    Args:
        vocabulary: ids of the tokenizer.

    Raises:
        UserError: the place cannot be written, or this Python keeps no sources.
    """
    home = user_cache() / "corpora"
    folder = home / f"stdlib-{platform.python_version()}-{vocabulary}-v{VERSION}"
    if (folder / CONTENTS).exists():
        return folder
    print(f"preparing the embedded corpus, once, in {folder}", file=sys.stderr, flush=True)
    with disk(home):
        home.mkdir(parents=True, exist_ok=True)
        temporary = epath.Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=home))
    try:
        prepare(standard_library(), Bpe(vocabulary), temporary, quiet=True)
        temporary.rename(folder)
    except OSError as error:
        if not (folder / CONTENTS).exists():  # otherwise another process was faster
            raise UserError(f"{folder}: cannot be made ({error}); remove it") from None
    finally:
        if temporary.exists():
            temporary.rmtree()
    return folder
