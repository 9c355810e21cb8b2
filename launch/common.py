"""What all launchers share: where JAX keeps compiled programs, and where a job's files stand."""

import os

import jax
from absl import logging
from etils import epath

from rare_retention.parallel import start_hosts


def start() -> None:
    """Joins the other hosts, quietens libraries, and keeps compiled programs for a quick restart.

    The cache stands in ~/.cache/rare_retention/xla, or where JAX_COMPILATION_CACHE_DIR says. CPU
    programs are not kept: they are small, and bound to the processor that they were compiled on.
    """
    logging.set_verbosity(logging.WARNING)  # Orbax tells every step of a save at INFO
    start_hosts()
    if jax.default_backend() != "cpu" and "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        cache = epath.Path("~/.cache/rare_retention/xla").expanduser()
        jax.config.update("jax_compilation_cache_dir", str(cache))


def plural(count: int, noun: str) -> str:
    """A count with its noun, as in "1 run" and "2 runs"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
