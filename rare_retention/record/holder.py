"""Who writes the folder of a run, as its lock says; reading it takes no lock and writes nothing."""

import json
import os
import socket
import time
from typing import Any, NamedTuple

from etils import epath

NAME, HEARTBEAT = "lock.json", "lock.heartbeat"
"""The lock of a folder, and the file beside it that its holder writes again and again."""

STALE = 60.0
"""Seconds without a heartbeat after which a holder on another machine has ended."""


class Holder(NamedTuple):
    """The process that holds the lock of a folder, or held it when it was killed.

    Attributes:
        host: machine that it runs on.
        process: its number there.
        since: when it took the lock, such as "2030-01-02 03:04:05 UTC".
        silent: seconds since its last heartbeat, by the clocks of both machines; None without one.
        runs: whether it still runs. On this machine it is asked; elsewhere it is taken to run while
            its last heartbeat is younger than `STALE`.
    """

    host: str
    process: str
    since: str
    silent: float | None
    runs: bool


def holder(folder: epath.Path) -> Holder | None:
    """Who holds the lock of a folder; None where nobody does.

    Args:
        folder: of a run.
    """
    about = read(folder / NAME)
    if about is None:
        return None
    try:
        silent = max(0.0, time.time() - folder.joinpath(HEARTBEAT).stat().mtime)
    except OSError:
        silent = None
    here = about["host"] == socket.gethostname() and about["boot"] == boot()
    if here and (now := started(about["process"])) != "?":
        runs = now == about["started"]
    else:
        runs = silent is not None and silent < STALE
    host, process, since = (str(about[name]) for name in ("host", "process", "since"))
    return Holder(host, process, since, silent, runs)


def read(path: epath.Path) -> dict[str, Any] | None:
    """Who has made a lock's file, "?" for what is not known; None where there is none."""
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except (ValueError, OSError):
        found = {}  # being written, or cut off by a full disk: who it was is not known
    unknown = dict.fromkeys(("token", "process", "host", "boot", "started", "since"), "?")
    return {**unknown, **(found if isinstance(found, dict) else {})}


def boot() -> str:
    """What tells processes that know each other's numbers from others; "" where it is not known.

    That is one start of one machine, and in it one space of process numbers: containers have their
    own.
    """
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return f"{file.read().strip()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def started(process: Any) -> str:
    """When a process of this machine was started, in its own ticks.

    "" for one that has ended, "?" for one that runs, but may not be looked at.
    """
    try:
        with open(f"/proc/{int(process)}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
    except (OSError, ValueError):
        return "" if not _runs(process) else "?"
    return "" if fields[0] in "ZX" else fields[19]


def _runs(process: Any) -> bool:
    """Whether a process of this machine runs, where /proc does not tell."""
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except (OSError, ValueError):
        pass
    return True
