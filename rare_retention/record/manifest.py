"""The manifest of a run: what it is, on what it ran, and what it was and will be shown."""

import importlib.metadata
import platform
import shlex
import sys
import time
from pathlib import Path
from typing import Any

from etils import epath

from rare_retention.record import layout
from rare_retention.record.files import read_json, write_json

NAME = "manifest.json"
PACKAGES = (
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "orbax-checkpoint",
    "grain",
    "numpy",
    "rare-retention",
)


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide the numbers."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # rare_retention itself may run from a checkout that is not installed
    return found


def hardware() -> dict[str, Any]:
    """The devices of this job."""
    import jax  # by who trains: who reads manifests needs none

    device = jax.devices()[0]
    return {
        "platform": device.platform,
        "device": device.device_kind,
        "devices": jax.device_count(),
        "hosts": jax.process_count(),
        "machine": platform.machine(),
    }


def command() -> str:
    """The command line of this process, as it can be typed again in a checkout."""
    program = Path(sys.argv[0])
    launcher = program.parent.name == "launch"
    start = f"python -m launch.{program.stem}" if launcher else str(program)
    return f"{start} {shlex.join(sys.argv[1:])}".rstrip()


def write_manifest(folder: epath.Path, **content: Any) -> None:
    """Writes the manifest of a run, keeping when it was first started."""
    path = folder / NAME
    started = read_json(path)["started"] if path.exists() else _now()
    about = {
        "started": started,
        "written": _now(),
        "command": command(),
        "versions": versions(),
        "hardware": hardware(),
    }
    write_json(path, layout.stamped(about | content))


def read_manifest(folder: epath.Path) -> dict[str, Any] | None:
    """The manifest of a run; None where it never started.

    Raises:
        UserError: it is damaged, or of another layout.
    """
    path = folder / NAME
    if not path.exists():
        return None
    about: dict[str, Any] = read_json(path)
    layout.check(about, path)
    return about


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
