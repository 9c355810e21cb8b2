"""What compilers have said, kept for the next time the same is asked.

A table of many cells takes an hour to compile; stopped, it goes on where it was. The answers stand
in `rare_retention/plans` of the user's cache, and may be deleted at any time.
"""

import contextlib
import functools
import hashlib
import importlib.metadata
from pathlib import Path
from typing import Any

import rare_retention
from rare_retention.config import fingerprint
from rare_retention.errors import UserError
from rare_retention.planning import ahead
from rare_retention.planning.ahead import Compiled
from rare_retention.planning.hlo import Collective
from rare_retention.planning.memory import Buffer
from rare_retention.planning.topology import Topology
from rare_retention.record.files import read_json, user_cache, write_json

FOLDER = "plans"
_BESIDE = frozenset({"evidence", "planning", "report", "representation", "study", "theory"})
"""Parts of this package that decide nothing in a program."""

_ANSWERS = ("programs.py", "compiler.py", "hlo.py", "memory.py", "cycles.py")
"""What asks a compiler, and reads what it says."""


def kept(request: dict[str, Any], topology: Topology, limit: float | None) -> Compiled:
    """What `ahead.compile_program` says, or has said of the same request before.

    It is the same while the request, the versions of compilers and what makes programs are.
    """
    key = fingerprint({"request": request, "versions": _versions(), "source": _source()})
    path = user_cache() / FOLDER / f"{key}.json"
    with contextlib.suppress(OSError, UserError, KeyError, TypeError):  # not known yet, or damaged
        return from_json(read_json(path)["compiled"])
    found = ahead.compile_program(request, topology, limit)
    with contextlib.suppress(OSError, UserError):  # where it cannot be kept it is compiled again
        write_json(path, {"topology": topology.name, "compiled": to_json(found)})
    return found


def to_json(own: Compiled) -> dict[str, Any]:
    """As JSON values."""
    lists = ("largest", "step", "call")
    return own._asdict() | {name: [one._asdict() for one in getattr(own, name)] for name in lists}


def from_json(own: dict[str, Any]) -> Compiled:
    """The inverse of `to_json`."""
    found = Compiled(**own)
    return found._replace(
        largest=tuple(Buffer(**one) for one in own["largest"]),
        step=tuple(Collective(**one) for one in own["step"]),
        call=tuple(Collective(**one) for one in own["call"]),
    )


def _versions() -> dict[str, str]:
    found = {}
    for name in ("jax", "jaxlib", "libtpu", "flax", "optax"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


@functools.cache
def _source() -> str:
    """Digest of what makes programs: any change of it may change one."""
    digest = hashlib.sha256()
    folder = Path(rare_retention.__file__).parent
    every = sorted(folder.rglob("*.py"))
    deciding = [path for path in every if path.relative_to(folder).parts[0] not in _BESIDE]
    for path in (*deciding, *(folder / "planning" / name for name in _ANSWERS)):
        digest.update(str(path.relative_to(folder)).encode() + path.read_bytes())
    return digest.hexdigest()
