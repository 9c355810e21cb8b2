"""Definitions of a study's claims, written down before its first run, and what changed since.

A statistic that was chosen after the data were seen is explored, whatever its page says. So the
first run of a study writes into its workdir what will judge it, with a digest of the code that
computes it; a report says what is no longer so.
"""

import ast
import functools
import hashlib
import inspect
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from rare_retention.study.claims.claim import Claim

BEFORE, AFTER = "before the first run", "after runs had begun"

_FIELDS = ("statement", "statistic", "relation", "threshold", "interval", "kind", "code")
_COMMENTS = ("account", "against")  # fields of a claim that change no verdict
_LATER = ("type_params",)  # fields of syntax trees that Python 3.11 has not


def definition(claim: Claim) -> dict[str, Any]:
    """What decides a claim's verdict, as plain JSON values; "code" is a digest of what computes it.

    Of the function's module and of all modules of this project that it imports, without comments
    and docstrings.
    """
    own = {name: getattr(claim, name) for name in _FIELDS if name != "code"}
    return own | {"code": code(claim.compute)}


def code(function: Callable[..., Any]) -> str:
    """Digest of the code behind a function, 16 hexadecimal digits."""
    arguments = ""
    while isinstance(function, functools.partial):
        arguments += repr((function.args, sorted(function.keywords.items())))
        function = function.func
    start = inspect.getmodule(function)
    digest = hashlib.sha256(f"{function.__qualname__}{arguments}".encode())
    for source in sorted(_sources(getattr(start, "__name__", ""))):
        digest.update(source.encode())
    return digest.hexdigest()[:16]


def _sources(start: str) -> set[str]:
    """Code of a module and of those of this project that it imports, as plain syntax trees."""
    package = __name__.partition(".")[0]
    seen, queue, found = {start}, [start], set()
    while queue:
        module = sys.modules.get(queue.pop())
        file = getattr(module, "__file__", None)
        if file is None or not Path(file).exists():
            continue
        tree, dump = _plain(Path(file).read_text())
        found.add(dump)
        named = {
            name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module
            for name in (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))
        }
        for name in named - seen:
            if name.startswith(f"{package}.") and name in sys.modules:
                seen.add(name)
                queue.append(name)
    return found


@functools.lru_cache
def _plain(text: str) -> tuple[ast.Module, str]:
    """A module's syntax tree, and its text without comments, docstrings and places.

    What a claim's verdict speaks for is a comment too.
    """
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("Claim"):
            node.keywords = [each for each in node.keywords if each.arg not in _COMMENTS]
        body = getattr(node, "body", None)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(
            node, clean=False
        ):
            node.body = list(body or [])[1:]
    return tree, _dump(tree)


def _dump(node: Any) -> str:
    """A syntax tree as text, the same on every version of Python.

    That of Python 3.11's `ast.dump`: later ones add fields, or leave empty ones out.
    """
    if isinstance(node, list):
        return f"[{', '.join(map(_dump, node))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = ((name, getattr(node, name, None)) for name in node._fields if name not in _LATER)
    given = (
        f"{name}={_dump(value)}"
        for name, value in fields
        if value is not None or getattr(type(node), name, ...) is not None
    )
    return f"{type(node).__name__}({', '.join(given)})"


def fixed(
    stored: Mapping[str, Any], claims: Iterable[Claim], begun: bool
) -> dict[str, dict[str, Any]]:
    """The definitions of a study with those of claims that it did not list before.

    Args:
        stored: name of a claim -> what was written of it; those stay as they are.
        claims: that the study lists now.
        begun: whether a run of it has been measured already.
    """
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    when = {"written": now, "when": AFTER if begun else BEFORE}
    new = {c.name: definition(c) | when for c in claims if c.name not in stored}
    return {**stored, **new}


def note(stored: Mapping[str, Any], claim: Claim) -> str:
    """What a report has to say of a claim's definition; empty where it was fixed beforehand.

    Args:
        stored: name of a claim -> what was written of it.
        claim: as it is judged today.
    """
    before = stored.get(claim.name)
    if before is None:
        return "explored: its definition was not written down"
    today, before = definition(claim), {"kind": "claim"} | before  # once there were no checks
    changed = [name for name in _FIELDS if before[name] != today[name]]
    if changed:
        what = "; ".join(
            "the code that computes it"
            if name == "code"
            else f"{name}: {before[name]!r} -> {today[name]!r}"
            for name in changed
        )
        return f"explored: changed since {before['written']}: {what}"
    if before["when"] == AFTER:
        return f"explored: written down on {before['written']}, {AFTER}"
    return ""
