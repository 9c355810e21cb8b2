"""What tokenizers lose of a text is counted, and refused beyond a share."""

import pytest
from etils import epath
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from rare_retention.errors import UserError
from rare_retention.text.documents import open_documents
from rare_retention.text.losses import check_losses, lost
from rare_retention.text.preparation import prepare
from rare_retention.text.tokenizing import Bpe, TokenizerFile


class Texts(list):
    name, digest, content = "made", "0" * 16, ""


WORDS = Texts(["ab ba", "ab é", "a b"])


def words(unknown=None):
    """A tokenizer of the letters a and b alone."""
    ids = {"a": 0, "b": 1, "</s>": 2} | ({unknown: 3} if unknown else {})
    own = Tokenizer(models.BPE(ids, [], unk_token=unknown))
    own.pre_tokenizer = pre_tokenizers.Whitespace()
    return own


@pytest.mark.parametrize("unknown", [None, "[UNK]"])
def test_characters_that_do_not_come_back_are_counted(unknown):
    """Also those in whose place something else comes; white space does not count."""
    missing, total = lost(words(unknown), WORDS)
    assert dict(missing) == {"é": 1} and total == 4 + 3 + 2


def test_too_many_are_refused_in_one_line_with_a_remedy():
    message = r"loses 11\.11% of the characters of 3 documents, such as 'é' \(U\+00E9\);.*lost=0\.1"
    with pytest.raises(UserError, match=message) as caught:
        check_losses(words().to_str(), WORDS)
    assert "\n" not in str(caught.value)
    check_losses(words().to_str(), WORDS, most_lost=0.12)


def test_letters_in_another_case_are_lost():
    own = words()
    own.normalizer = normalizers.Lowercase()
    assert dict(lost(own, Texts(["Ab"]))[0]) == {"A": 1}


def test_bytes_lose_nothing():
    text = Texts(["é ü 漢字 🙂\r\n\t x  y", "<|endoftext|> is text"])
    check_losses(Bpe(300).text(text), text, most_lost=0.0)


def test_nothing_is_prepared_with_such_a_tokenizer(tmp_path):
    path = epath.Path(tmp_path) / "tokenizer.json"
    words().save(str(path))
    (tmp_path / "a.txt").write_text("ab é")
    documents = open_documents(f"text:{tmp_path}/*.txt")
    for most, works in ((0.001, False), (0.5, True)):
        output = epath.Path(tmp_path) / f"corpus-{most}"
        if works:
            assert prepare(documents, TokenizerFile(path), output, most_lost=most).tokens
            continue
        with pytest.raises(UserError, match="loses 33"):
            prepare(documents, TokenizerFile(path), output, most_lost=most)
