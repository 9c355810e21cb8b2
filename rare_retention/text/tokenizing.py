"""Tokenizers: read from a tokenizer.json, or trained on the corpus itself."""

import hashlib
import os
from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np
from etils import epath
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from rare_retention.errors import ConfigError, UserError
from rare_retention.text.documents import Documents

# Said explicitly, or the library warns, and goes on serially, once any process is forked.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")

END_OF_DOCUMENT = "<|endoftext|>"
LEAST_VOCABULARY = 257  # every byte, and the end of a document
TRAIN_DOCUMENTS = 10_000

_ENDS = (END_OF_DOCUMENT, "<|end_of_text|>", "</s>", "<eos>")


class TokenizerSource(Protocol):
    """Where a tokenizer comes from.

    Attributes:
        description: what decides it, in words; part of the recipe of a corpus.
        end_of_document: the token after each document.
    """

    description: str
    end_of_document: str

    def text(self, documents: Documents) -> str:
        """The tokenizer.json, for these documents."""


class Bpe:
    """A byte-level BPE, trained on the documents; the same documents give the same bytes.

    Args:
        vocabulary: ids, those of the 256 bytes and of the end of a document among them. Few
            documents may give fewer.
        train_documents: documents that it is trained on at most, evenly spread.

    Raises:
        ConfigError: there is no such tokenizer.
    """

    end_of_document = END_OF_DOCUMENT

    def __init__(self, vocabulary: int, train_documents: int = TRAIN_DOCUMENTS) -> None:
        if vocabulary < LEAST_VOCABULARY:
            raise ConfigError(
                "vocabulary", f"expected {LEAST_VOCABULARY} ids or more, got {vocabulary}"
            )
        self.description = f"BPE, {vocabulary} ids, trained on {train_documents} documents at most"
        self._vocabulary = vocabulary
        self._train_documents = train_documents

    def text(self, documents: Documents) -> str:
        """Trains the tokenizer, on all cores."""
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=self._vocabulary,
            special_tokens=[END_OF_DOCUMENT],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        count = min(self._train_documents, len(documents))
        texts = (documents[i * len(documents) // count] for i in range(count))
        tokenizer.train_from_iterator(texts, trainer)
        return tokenizer.to_str(pretty=True)


class TokenizerFile:
    """A tokenizer.json of the `tokenizers` library.

    Args:
        path: the file.
        end_of_document: token after each document; "" is the first of the usual ones that it has.

    Raises:
        UserError: there is none, it is damaged, or it has no such token.
    """

    def __init__(self, path: epath.Path, end_of_document: str = "") -> None:
        tokenizer = load(path)
        tokens = [end_of_document] if end_of_document else _ENDS
        known = [token for token in tokens if tokenizer.token_to_id(token) is not None]
        if not known:
            raise UserError(
                f"{path}: has no token {' or '.join(tokens)}; name the one that ends a document "
                "with --end_of_document"
            )
        self.end_of_document = known[0]
        self._text = path.read_text()
        self.description = f"file {hashlib.sha256(self._text.encode()).hexdigest()[:16]}"

    def text(self, documents: Documents) -> str:
        """The file, as it stands."""
        return self._text


def load(path: epath.Path) -> Tokenizer:
    """Reads a tokenizer.json.

    Raises:
        UserError: there is none, or it is damaged.
    """
    if not path.exists() or path.is_dir():
        raise UserError(f"{path}: there is no such file; name a tokenizer.json")
    try:
        tokenizer = Tokenizer.from_str(path.read_text())
    except Exception as error:  # the library raises nothing narrower
        raise UserError(f"{path}: not a tokenizer.json of `tokenizers` ({error})") from None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = True  # a text that spells a special token out is text
    return tokenizer


def encode(tokenizer: Tokenizer, texts: Sequence[str], end: int) -> Iterable[np.ndarray]:
    """Ids of texts, encoded on all cores, each int64 [n] with `end` as the last."""
    for encoding in tokenizer.encode_batch_fast(texts, add_special_tokens=False):
        yield np.array([*encoding.ids, end], np.int64)
