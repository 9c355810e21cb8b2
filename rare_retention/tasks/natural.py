"""Reference tasks read off natural text: numbers that grow, and sums (paper Sec. 4, Fig. 6a).

Text holds its own rare tasks. After "it has increased from 57 to" a greater number must follow, as
in the comparison task; after "20 + 31 =" their sum, as in addition. How far a model is with them
says where injected tasks stand beside natural ones.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from etils import epath
from numpy.typing import NDArray
from tokenizers import Tokenizer

_NUMBERS = range(100)
_LEAST = 50  # numbers that must be one token each, or the prompts say little


class Prompts(NamedTuple):
    """Prompts of one pattern, and which next tokens would be right.

    Attributes:
        name: of the pattern, "increase" or "sum".
        tokens: of each prompt, int32 [n, L].
        numbers: tokens of the numbers that may follow, int32 [c].
        right: whether a number is right after a prompt, bool [n, c].
    """

    name: str
    tokens: NDArray[np.int32]
    numbers: NDArray[np.int32]
    right: NDArray[np.bool_]


def prompts(tokenizer: epath.Path, counts: dict[str, int]) -> tuple[Prompts, ...]:
    """The patterns that a corpus has and that its tokenizer can ask for.

    Args:
        tokenizer: tokenizer.json of the corpus.
        counts: how often the corpus holds each pattern; empty where nobody counted.
    """
    own = Tokenizer.from_str(tokenizer.read_text())
    found = (_prompts(name, cases(), own) for name, cases in _PATTERNS.items())
    return tuple(p for p in found if p is not None and (not counts or counts.get(p.name)))


def _increase() -> Iterator[tuple[str, NDArray[np.bool_]]]:
    for x in _NUMBERS[1:-1]:
        yield f"it has increased from {x} to", np.arange(len(_NUMBERS)) > x


def _sum() -> Iterator[tuple[str, NDArray[np.bool_]]]:
    for x in _NUMBERS[1:50:2]:
        for y in _NUMBERS[1:50:2]:
            yield f"{x} + {y} =", np.arange(len(_NUMBERS)) == x + y


_PATTERNS = {"increase": _increase, "sum": _sum}


def _prompts(
    name: str, cases: Iterator[tuple[str, NDArray[np.bool_]]], tokenizer: Tokenizer
) -> Prompts | None:
    """Prompts of the commonest length; None where numbers are not tokens."""

    def ids(text: str) -> list[int]:
        return list(tokenizer.encode(text, add_special_tokens=False).ids)

    texts, right = zip(*cases, strict=True)
    before = ids(texts[0])
    after = [ids(f"{texts[0]} {number}") for number in _NUMBERS]
    single = [token[:-1] == before for token in after]
    if sum(single) < _LEAST:
        return None
    encoded = [ids(text) for text in texts]
    lengths = [len(tokens) for tokens in encoded]
    usual = max(set(lengths), key=lengths.count)
    kept = [i for i, length in enumerate(lengths) if length == usual and right[i][single].any()]
    return Prompts(
        name,
        np.array([encoded[i] for i in kept], np.int32),
        np.array([token[-1] for token, one in zip(after, single, strict=True) if one], np.int32),
        np.array([right[i][single] for i in kept]),
    )
