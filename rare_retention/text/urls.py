"""Lists of files to fetch: a URL in each line, and what is known of the file."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from etils import epath

from rare_retention.errors import UserError

DIGESTS = {32: "md5", 40: "sha1", 64: "sha256"}
"""Hexadecimal digits of a digest -> its name, as hashlib has it."""

_FORM = "expected URL, or URL SIZE DIGEST, with - for what is not known"


@dataclass(frozen=True)
class Wanted:
    """A file to fetch.

    Attributes:
        url: where it is.
        name: where it is to stand, below the folder of all.
        size: bytes; None where the list does not say.
        digest: such as "sha256:9f86...", in lower case; "" where the list does not say.
    """

    url: str
    name: str
    size: int | None = None
    digest: str = ""


def read_list(path: epath.Path, strip: int = 0) -> list[Wanted]:
    """The files that a list names.

    Args:
        path: of the list, a text file; empty lines and those that start with # are left out.
        strip: leading folders of each URL's path that its name leaves out.

    Raises:
        UserError: there is no such list, it names nothing, or a line is no URL.
    """
    if not path.exists():
        raise UserError(f"{path}: there is no such file; expected a list of URLs, one a line")
    try:
        lines = path.read_text().splitlines()
    except UnicodeDecodeError:
        raise UserError(f"{path}: is no text; expected a list of URLs, one a line") from None
    found = parse(lines, str(path), strip)
    if not found:
        raise UserError(f"{path}: names no file; expected a list of URLs, one a line")
    return found


def parse(lines: Iterable[str], source: str, strip: int = 0) -> list[Wanted]:
    """The files that the lines of a list name.

    Args:
        lines: of the list.
        source: its name, for messages.
        strip: as `read_list` takes it.

    Raises:
        UserError: a line is no URL, or two have one name.
    """
    found: list[Wanted] = []
    places: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        where = f"{source}:{number}"
        one = _wanted(words, where, strip)
        if one.name in places:
            raise UserError(
                f"{where}: would stand at {one.name}, as line {places[one.name]} does; remove one "
                "of them, or strip fewer folders"
            )
        places[one.name] = number
        found.append(one)
    return found


def _wanted(words: list[str], where: str, strip: int) -> Wanted:
    if len(words) > 3:
        raise UserError(f"{where}: has {len(words)} columns; {_FORM}")
    url, size, digest = [*words, "-", "-"][:3]
    return Wanted(url, _name(url, where, strip), _size(size, where), _digest(digest, where))


def _name(url: str, where: str, strip: int) -> str:
    """The path of a URL without its first folders."""
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise UserError(f"{where}: {url!r} is no http:// or https:// address; {_FORM}")
    path = unquote(parts.path).split("/")[1:]
    unfit = any(part in ("", ".", "..") or "\0" in part or part.startswith(".") for part in path)
    if not path or unfit:
        raise UserError(f"{where}: {url}: its path names no file")
    if strip >= len(path):
        raise UserError(
            f"{where}: {url}: has {len(path) - 1} folders, and --strip={strip} leaves none of its "
            "name"
        )
    return "/".join(path[strip:])


def _size(word: str, where: str) -> int | None:
    if word == "-":
        return None
    if not re.fullmatch(r"[0-9]{1,18}", word):
        raise UserError(f"{where}: {word!r} is no size in bytes; {_FORM}")
    return int(word)


def _digest(word: str, where: str) -> str:
    if word == "-":
        return ""
    kind, _, digits = word.rpartition(":")
    digits = digits.lower()
    fitting = DIGESTS.get(len(digits)) if re.fullmatch(r"[0-9a-f]+", digits) else None
    if fitting is None or kind.lower() not in ("", fitting):
        kinds = ", ".join(f"{name} ({length})" for length, name in DIGESTS.items())
        raise UserError(f"{where}: {word!r} is no digest of hexadecimal digits: {kinds}")
    return f"{fitting}:{digits}"
