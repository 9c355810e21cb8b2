"""The files of a corpus that is being prepared, or mended: documents under a tokenizer."""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from etils import epath

from rare_retention.config import from_dict, to_dict
from rare_retention.errors import UserError
from rare_retention.record.files import read_json, write, write_json
from rare_retention.text import digests
from rare_retention.text.documents import Documents
from rare_retention.text.token_files import (
    PROGRESS,
    TOKENIZER,
    Contents,
    Dtype,
    Part,
    Recipe,
    References,
    TokenFile,
    little_endian,
)
from rare_retention.text.tokenizing import encode, load

_CHARACTERS = 2**22  # encoded at once: enough for all cores, and encodings are large in memory

_NUMBER = r"\d[\d,]*(?:\.\d+)?"
_INCREASE = re.compile(rf"increased from {_NUMBER} to\b")
# Starts with plain text, which is found fast, and then looks back for the number before it.
_SUM = re.compile(rf" \+ (?<=\d \+ ){_NUMBER} =(?!=)")


def count_references(text: str) -> References:
    """Counts "increased from {number} to" and "{number} + {number} =" in a text."""
    return References(increase=len(_INCREASE.findall(text)), sum=len(_SUM.findall(text)))


class Shards:
    """Makes each file from its documents, and compares it with what was made before.

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
        note = self._output / PROGRESS / f"part-{number:05}.json"
        if note.exists():
            part = from_dict(Part, read_json(note))
            if self.stands(part, verify=False):
                advance(len(self._documents_of(number)))
                return part
        content, part = self._make(number, advance)
        self._write(part, content)
        write_json(note, to_dict(part))
        return part

    def again(self, number: int, part: Part) -> None:
        """Makes a damaged file again.

        Raises:
            UserError: it would not be what it was.
        """
        content, found = self._make(number, lambda _: None)
        if found.digest != part.digest:
            raise UserError(
                f"{self._output / part.name}: is damaged, and {self._documents.name} gives other "
                "tokens now; choose another --output"
            )
        self._write(part, content)

    def compare(self, number: int, part: Part) -> None:
        """Compares the documents of a file with those that it was made of.

        Raises:
            UserError: they have changed.
        """
        mine = self._documents_of(number)
        digest = hashlib.sha256()
        for i in mine:
            _add(digest, self._documents[i])
        if part.texts not in ("", digest.hexdigest()):
            raise UserError(
                f"{self._documents.name}: of the documents {mine.start:,} to {mine.stop - 1:,} "
                f"some have changed since {self._output / part.name} was made; choose another "
                "--output"
            )

    def stands(self, part: Part, *, verify: bool) -> bool:
        """Whether a file is the one that was made; of a large one a sample says, or all of it."""
        path, size = self._output / part.name, part.tokens * np.dtype(self._dtype).itemsize
        if not path.exists() or path.stat().length != size:
            return False
        if verify:
            return digests.of_file(path) == part.digest
        return digests.agrees(TokenFile(path, self._dtype, part.tokens), len(self), part)

    def _documents_of(self, number: int) -> range:
        size = self._recipe.shard_documents
        return range(number * size, min((number + 1) * size, len(self._documents)))

    def _write(self, part: Part, content: bytes) -> None:
        write(self._output / part.name, lambda file: file.write(content))

    def _make(self, number: int, advance: Callable[[int], object]) -> tuple[bytes, Part]:
        """The bytes of a file, and what is known of it."""
        pieces, references = [b""], [References()]
        count, digest = 0, hashlib.sha256()

        def read() -> Iterator[str]:
            for i in self._documents_of(number):
                text = self._documents[i]
                _add(digest, text)
                yield text

        for texts in _batches(read(), advance):
            for ids in encode(self._tokenizer, texts, self._end):
                pieces.append(ids.astype(little_endian(self._dtype)).tobytes())
            references += map(count_references, texts)
            count += len(texts)
        content = b"".join(pieces)
        return content, Part(
            name=f"part-{number:05}.npy",
            tokens=len(content) // np.dtype(self._dtype).itemsize,
            documents=count,
            digest=hashlib.sha256(content).hexdigest(),
            references=_total(references),
            sample=digests.sample(content, len(self)),
            texts=digest.hexdigest(),
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
            tokenizer_digest=digests.of_file(self._output / TOKENIZER),
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


def _add(digest: "hashlib._Hash", text: str) -> None:
    """Adds a document to a digest, so that no two sequences of documents give the same bytes."""
    content = text.encode()
    digest.update(len(content).to_bytes(8, "little"))
    digest.update(content)


def _total(references: Sequence[References]) -> References:
    return References(
        increase=sum(each.increase for each in references),
        sum=sum(each.sum for each in references),
    )
