"""The layout of workdirs: what stands in which of their files, under which names."""

from collections.abc import Mapping
from typing import Any

from etils import epath

from rare_retention.errors import UserError

LAYOUT = 4
"""Raise it with any change after which files of an earlier version cannot be read."""

SEALED = 4
"""The first layout whose files are sealed (`record.seal`)."""

_READ = (3, LAYOUT)


def stamped(about: Mapping[str, Any], layout: int = LAYOUT) -> dict[str, Any]:
    """What a file of a workdir says, and of which layout it is."""
    return {"layout": layout, **about}


def check(about: Mapping[Any, Any], path: epath.Path) -> int:
    """The layout of a file of a workdir; files of the first one do not say theirs.

    Raises:
        UserError: it is one that this version does not read.
    """
    found = about.get("layout", 1)
    if found not in _READ:
        raise UserError(
            f"{path}: written by another version of rare_retention (layout {found} of workdirs, "
            f"this one has {LAYOUT}); choose another --workdir, or use the version that wrote it"
        )
    return int(found)
