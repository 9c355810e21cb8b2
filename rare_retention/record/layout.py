"""The layout of workdirs: what stands in which of their files, under which names."""

from collections.abc import Mapping
from typing import Any

from etils import epath

from rare_retention.errors import UserError

LAYOUT = 3
"""Raise it with any change after which files of an earlier version cannot be read."""


def stamped(about: Mapping[str, Any]) -> dict[str, Any]:
    """What a file of a workdir says, and of which layout it is."""
    return {"layout": LAYOUT, **about}


def check(about: Mapping[Any, Any], path: epath.Path) -> None:
    """Checks that a file of a workdir is of this layout; files of the first one do not say theirs.

    Raises:
        UserError: it is of another.
    """
    if (found := about.get("layout", 1)) != LAYOUT:
        raise UserError(
            f"{path}: written by another version of rare_retention (layout {found} of workdirs, "
            f"this one has {LAYOUT}); choose another --workdir, or use the version that wrote it"
        )
