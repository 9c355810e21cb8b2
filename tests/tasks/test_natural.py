"""Prompts of natural text, with a tokenizer trained on text that is full of numbers."""

import re

import numpy as np
import pytest
from etils import epath

from rare_retention.tasks.natural import prompts
from rare_retention.text.tokenizing import Bpe, load


class Texts(list):
    """Documents in memory."""

    name = digest = "texts"


@pytest.fixture(scope="module")
def numbered(tmp_path_factory):
    """A space and a number are one token, for all numbers below 100 but 20."""
    path = epath.Path(tmp_path_factory.mktemp("numbered") / "tokenizer.json")
    known = [n for n in range(100) if n != 20]
    texts = Texts(f"it has increased from {n} to {n} + {n} =" for n in known)
    path.write_text(Bpe(450).text(texts))
    return path


@pytest.fixture(scope="module")
def bytewise(tmp_path_factory):
    """Bytes: no number above 9 is a token."""
    path = epath.Path(tmp_path_factory.mktemp("bytewise") / "tokenizer.json")
    path.write_text(Bpe(257).text(Texts([""])))
    return path


def test_what_is_right_follows_from_the_prompt(numbered):
    """Read back as text: a greater number, or the sum; each number that may follow is a token."""
    decode = load(numbered).decode
    increase, total = prompts(numbered, {})
    assert (increase.name, total.name) == ("increase", "sum")
    asked = set()
    for pattern in (increase, total):
        after = [int(decode([token])) for token in pattern.numbers]
        assert after == [n for n in range(100) if n != 20]
        assert pattern.right.shape == (len(pattern.tokens), len(after))
        for tokens, right in zip(pattern.tokens.tolist(), pattern.right, strict=True):
            text = decode(tokens)
            asked.add(text)
            if found := re.fullmatch(r"it has increased from (\d+) to", text):
                expected = [n > int(found[1]) for n in after]
            else:
                found = re.fullmatch(r"(\d+) \+ (\d+) =", text)
                expected = [n == int(found[1]) + int(found[2]) for n in after]
            assert right.tolist() == expected and right.any()
    assert {"it has increased from 57 to", "21 + 31 ="} <= asked
    assert "9 + 11 =" not in asked  # 20 is no token, so nothing right could follow


def test_prompts_have_the_commonest_length(numbered):
    """From 20, two tokens, there is no increase; all others are asked."""
    increase, total = prompts(numbered, {})
    assert len(increase.tokens) == 98 - 1
    assert len(total.tokens) > 300
    for pattern in (increase, total):
        assert pattern.tokens.dtype == pattern.numbers.dtype == np.int32


def test_numbers_that_are_no_tokens_leave_nothing_to_ask(bytewise):
    assert prompts(bytewise, {}) == ()


def test_only_patterns_that_the_text_has_are_asked(numbered):
    assert [p.name for p in prompts(numbered, {"increase": 0, "sum": 3})] == ["sum"]
    assert prompts(numbered, {"increase": 0, "sum": 0}) == ()
