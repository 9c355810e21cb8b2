"""Asks for a program to be compiled, in a process with an environment of its own.

Compilers of accelerators that are not here read variables which would change this process and all
that it starts; theirs is made of what they need, and ends with them.
"""

import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
from typing import Any, NamedTuple

from rare_retention.errors import UserError
from rare_retention.planning.hlo import Collective
from rare_retention.planning.memory import Buffer
from rare_retention.planning.topology import Topology

_TPU = {
    "JAX_PLATFORMS": "cpu",
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_ACCELERATOR_TYPE": "v5litepod-16",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_LOG_DIR": "disabled",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
}
_DEVICES = "--xla_force_host_platform_device_count"
_BUSY = re.compile(r"already in use|libtpu_lockfile|multi-process lockfile|lock file", re.I)
_INSTALL = (
    "python -m venv plan-env && plan-env/bin/pip install -e '.[plan]', and run this command with "
    "plan-env/bin/python"
)


class Compiled(NamedTuple):
    """What a compiler says of a program.

    Attributes:
        bytes: memory of one device that it takes.
        capacity: bytes that a device has for it.
        fits: whether that is enough.
        largest: the largest buffers, as far as the compiler names them.
        step: what one training step sends between devices.
        call: the same of a call with one turn of the loop over steps, so that what is beside the
            steps is in it too.
        cycles: of a step, where it was compiled to the end; a lower bound.
        kernels: operations of a step on one device in kernels of attention, which no cycles stand
            for.
    """

    bytes: int
    capacity: int
    fits: bool
    largest: tuple[Buffer, ...]
    step: tuple[Collective, ...]
    call: tuple[Collective, ...]
    cycles: int | None = None
    kernels: int = 0


def environment(topology: Topology, own: dict[str, str]) -> dict[str, str]:
    """Variables of the process that compiles.

    Args:
        topology: for which it compiles.
        own: variables of this process, which stay as they are.
    """
    # A program from a cache is not compiled, and would say nothing of itself.
    kept = {name: value for name, value in own.items() if name != "JAX_COMPILATION_CACHE_DIR"}
    others = [flag for flag in own.get("XLA_FLAGS", "").split() if not flag.startswith(_DEVICES)]
    if topology.chip.platform == "tpu":
        kept.pop("XLA_FLAGS", None)  # of another platform: libtpu ends the process for one
        return kept | _TPU
    flags = [*others, f"{_DEVICES}={topology.devices}"]
    return kept | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": " ".join(flags)}


def check(topology: Topology) -> None:
    """Checks that its compiler is there.

    Raises:
        UserError: libtpu is not installed.
    """
    if topology.chip.platform == "tpu" and importlib.util.find_spec("libtpu") is None:
        raise UserError(
            f"--topology={topology.name}: needs libtpu, the compiler of TPUs, which is not "
            f"installed here; in an environment of its own: {_INSTALL}"
        )


def compile_program(
    request: dict[str, Any], topology: Topology, limit: float | None = None
) -> Compiled:
    """Compiles a program and says what it needs.

    Args:
        request: fields of a `compiler.Request` but for its folder.
        topology: for which.
        limit: seconds it may take; None waits.

    Raises:
        UserError: it is refused, libtpu is missing or in use, or it takes too long.
        RuntimeError: the compiler fails.
    """
    check(topology)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        try:
            done = subprocess.run(
                [sys.executable, "-m", "rare_retention.planning.compiler"],
                input=json.dumps({**request, "folder": folder}),
                env=environment(topology, dict(os.environ)),
                capture_output=True,
                text=True,
                check=False,
                timeout=limit,
            )
        except subprocess.TimeoutExpired:
            raise UserError(
                f"--topology={topology.name}: no answer from the compiler within {limit:,.0f} s; "
                "allow it more with --timeout"
            ) from None
    return read(done.returncode, done.stdout, done.stderr, topology)


def read(code: int, output: str, errors: str, topology: Topology) -> Compiled:
    """The answer of the process that compiled; arguments are what it left; errors as above."""
    lines = output.strip().splitlines()
    if code or not lines:
        if _BUSY.search(errors):
            raise UserError(
                f"--topology={topology.name}: libtpu is in use by another process of this machine; "
                "wait for it, or plan on a machine that trains nothing"
            )
        last = [line for line in errors.strip().splitlines() if re.match(r"[\w.]*Error", line)]
        why = last[-1] if last else f"exit code {code}: {errors.strip()[-300:]}"
        raise RuntimeError(f"the compiler for {topology.name} failed: {why}")
    found = json.loads(lines[-1])
    if "refused" in found:
        raise UserError(found["refused"])
    return Compiled(
        found["bytes"],
        found.get("capacity", topology.chip.memory),
        found["fits"],
        tuple(Buffer(**own) for own in found["largest"]),
        tuple(Collective(**own) for own in found.get("step", ())),
        tuple(Collective(**own) for own in found.get("call", ())),
        found.get("cycles", {}).get("step"),
        found.get("cycles", {}).get("kernels", 0),
    )
