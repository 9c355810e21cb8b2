"""What launchers share: their common flags, and how a job starts.

Launchers import what computes or draws where it is called for: `--help` and wrong flags need none.
"""

import os
import threading
from typing import Literal

from absl import flags, logging
from etils import epath

from rare_retention import flags as command_line
from rare_retention.errors import UserError
from rare_retention.record.files import is_full

WORKDIR = command_line.define_path("workdir", None, "folder of the study or run, local or gs://")
MULTIHOST = flags.DEFINE_bool(
    "multihost", False, "join the other hosts of a Cloud TPU slice or a cluster that JAX knows"
)
DRY_RUN = flags.DEFINE_bool("dry_run", False, "check and print the plan, then leave")

CACHE = "xla"
"""Folder of compiled programs in a workdir that several hosts share."""

_ABOVE = 5  # folders above a workdir that are looked at: each costs two requests in a bucket

INTERRUPTED = command_line.INTERRUPTED
"""Exit code of a job that a signal asked to stop, and that saved before it left."""


def start() -> None:
    """Joins the other hosts, and keeps compiled programs for a quick restart.

    CPU programs are not kept: they are small, and bound to the processor that they were compiled
    on.
    """
    import jax

    from rare_retention import jax_settings

    quieten()
    jax_settings.check()
    if MULTIHOST.value:
        join_hosts()
    if jax.default_backend() != "cpu" and "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        jax.config.update("jax_compilation_cache_dir", str(cache()))


def cache() -> epath.Path:
    """Folder of compiled programs, unless JAX_COMPILATION_CACHE_DIR says another.

    Of several hosts the first alone writes it: they share the workdir, and so a folder in it. A
    workdir in a bucket outlives the machine that trains. Otherwise it is the user's own, for all
    studies.
    """
    import jax

    remote = "://" in (WORKDIR.value or "")
    if WORKDIR.value and (remote or jax.process_count() > 1):
        return epath.Path(WORKDIR.value) / CACHE
    return epath.Path("~/.cache/rare_retention/xla").expanduser()


def join_hosts() -> None:
    """Joins the other hosts: a TPU slice or a cluster that JAX knows, or as the environment says.

    JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID describe any other cluster. A dry
    run goes on by itself where there is none: the command's plan is looked at from elsewhere.

    Raises:
        UserError: JAX sees no cluster here, or some of the hosts have not been started.
    """
    from rare_retention import hosts

    count, index = (os.environ.get(f"JAX_{name}") for name in ("NUM_PROCESSES", "PROCESS_ID"))
    try:
        hosts.join(
            os.environ.get("JAX_COORDINATOR_ADDRESS"),
            None if count is None else int(count),
            None if index is None else int(index),
        )
    except ValueError as error:
        if not DRY_RUN.value:
            raise UserError(
                f"--multihost: JAX sees no cluster here ({error}); leave it out, or set "
                "JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID"
            ) from None


def workdir() -> epath.Path:
    """The folder that --workdir names.

    Raises:
        UserError: it cannot be a folder, or its file system needs a package that is not installed.
    """
    path = epath.Path(WORKDIR.value)
    try:
        taken = path.exists() and not path.is_dir()
    except ImportError as error:
        reason = " ".join(str(error).split())
        raise UserError(f"--workdir={path}: {reason}; the extra `gcs` has it") from None
    if taken:
        raise UserError(f"--workdir={path}: a file stands there; choose a folder")
    return path


def check_place(place: epath.Path, kind: Literal["study", "run"]) -> None:
    """Checks that a workdir is no part of another, whose files it would be taken for.

    Args:
        place: of a study, or of a run by itself.
        kind: which of the two.

    Raises:
        UserError: it is the other of the two, or stands in a study or a run.
    """
    from rare_retention.record.manifest import NAME
    from rare_retention.study.folder import STUDY

    marks = {"study": STUDY, "run": NAME}
    other = "run" if kind == "study" else "study"
    if (place / marks[other]).exists():
        raise UserError(f"--workdir={place}: holds a {other}; choose another folder for a {kind}")
    remote = "://" in str(place)
    whole = place if remote else epath.Path(os.path.abspath(place))
    roots = 2 if remote else 1  # parts of what holds no files by itself
    for parent in [parent for parent in whole.parents if len(parent.parts) > roots][:_ABOVE]:
        for what, mark in marks.items():
            if (parent / mark).exists():
                raise UserError(
                    f"--workdir={place}: stands in the {what} {parent}; choose a folder outside it"
                )


def quieten() -> None:
    """Leaves on the terminal what a user needs: libraries log, at length, what they also raise."""
    logging.set_verbosity(logging.FATAL)
    threading.excepthook = _without_full_disks


def _without_full_disks(failure: threading.ExceptHookArgs) -> None:
    """Drops the traceback of a background writer without space: the main thread says it clearly."""
    if not is_full(failure.exc_value):
        threading.__excepthook__(failure)


def say(line: str) -> None:
    """Prints a line on one host, at once."""
    from rare_retention.parallel import is_primary

    if is_primary():
        print(line, flush=True)
