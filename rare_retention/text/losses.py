"""What a tokenizer loses of a text: characters that do not come back from its ids."""

from collections import Counter

from tokenizers import Tokenizer

from rare_retention.errors import UserError
from rare_retention.text.documents import Documents
from rare_retention.wording import plural

MOST_LOST = 0.001
"""Share of the characters that may be lost."""

_SAMPLE = 200  # documents, evenly spread
_LONGEST = 20_000  # characters of each that are looked at
_NAMED = 5


def lost(tokenizer: Tokenizer, documents: Documents) -> tuple[Counter[str], int]:
    """Characters of sampled documents that encoding and decoding lose, and how many there were.

    Order and white space do not count: decoders of some tokenizers put words together otherwise.
    """
    count = min(_SAMPLE, len(documents))
    missing: Counter[str] = Counter()
    total = 0
    for i in range(count):
        text = documents[i * len(documents) // count][:_LONGEST]
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        before = Counter(text)
        for space in [own for own in before if own.isspace()]:
            del before[space]
        missing += before - Counter(tokenizer.decode(ids, skip_special_tokens=False))
        total += before.total()
    return missing, total


def check_losses(text: str, documents: Documents, most_lost: float = MOST_LOST) -> None:
    """Checks that a tokenizer keeps what the documents say.

    Args:
        text: its tokenizer.json.
        documents: of which some are looked at.
        most_lost: share of their characters that may be lost.

    Raises:
        UserError: it loses more.
    """
    if most_lost >= 1:
        return
    tokenizer = Tokenizer.from_str(text)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = True
    missing, total = lost(tokenizer, documents)
    share = missing.total() / total if total else 0.0
    if share > most_lost:
        named = ", ".join(f"{own!r} (U+{ord(own):04X})" for own, _ in missing.most_common(_NAMED))
        looked = plural(min(_SAMPLE, len(documents)), "document")
        raise UserError(
            f"the tokenizer loses {share:.2%} of the characters of {looked}, such as {named}; "
            f"expected at most {most_lost:.2%}: choose one that falls back to bytes, or allow it "
            f"with --most_lost={_rounded(share)}"
        )


def _rounded(share: float) -> str:
    return f"{min(share * 1.1 + 0.001, 1.0):.3f}"
