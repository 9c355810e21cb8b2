"""Compiles a program of a run for devices that are not here; a process of its own (`ahead`).

It reads a request as JSON from its input, and writes what it found as the last line of its output.
What it needs in its environment, `ahead.environment` has.
"""

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import jax

from rare_retention import flags
from rare_retention.config import from_dict
from rare_retention.errors import UserError
from rare_retention.experiment import Run
from rare_retention.planning import cycles, hlo, memory
from rare_retention.planning.programs import Program, lowered
from rare_retention.planning.topology import Topology
from rare_retention.text.declared import declared

_SENT = "after_tpu-spmd-partitioning"  # of the files that XLA dumps, that with the collectives
_REPORT = "memory-usage-report.txt"
_CODE = "after_codegen.txt"
_WAIT = 0.2  # seconds between looks for the report


class Request(NamedTuple):
    """What is to be compiled, as JSON values.

    Attributes:
        run: whose program it is.
        extensions: files of the user's own that the run needs.
        topology: fields of a `Topology`.
        program: which program.
        length: batches of a call.
        folder: an empty one, for what the compiler dumps.
        whole: to the end, which takes minutes and gives a bound on the time; else up to the
            memory.
    """

    run: dict[str, Any]
    extensions: list[str]
    topology: list[Any]
    program: Program
    length: int
    folder: str
    whole: bool = False


def main() -> None:
    """Answers one request."""
    threading.Thread(target=_leave_with, args=(os.getppid(),), daemon=True).start()
    request = Request(**json.load(sys.stdin))
    try:
        flags.extend(request.extensions)
        run, topology = from_dict(Run, request.run), Topology(*request.topology)
        if topology.chip.platform == "tpu":
            _for_tpu(run, topology, request)
        answer(_for_cpu(run, topology, request))
    except UserError as error:
        answer({"refused": str(error)})


def _leave_with(parent: int) -> None:
    """Ends this process once who has asked is gone: it would compile on for minutes."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def answer(found: dict[str, Any]) -> NoReturn:
    """Writes what was found, and leaves without waiting for a compiler that still works."""
    print(f"\n{json.dumps(found)}", flush=True)
    os._exit(0)


def _for_tpu(run: Run, topology: Topology, request: Request) -> NoReturn:
    from jax.experimental import topologies

    given: dict[str, Any] = {"num_slices": topology.slices} if topology.slices > 1 else {}
    if topology.kind == "v4":
        given["chip_config_name"] = "megacore"  # one device a chip, as on a slice
    shape = f"{topology.kind}:{topology.shape}"
    devices = topologies.get_topology_desc(platform="tpu", topology_name=shape, **given).devices
    with declared("always"):
        program = lowered(run, list(devices), request.program, request.length)
    folder = Path(request.folder)
    options = {
        "xla_dump_to": str(folder),
        "xla_dump_hlo_pass_re": "spmd-partitioning",
        "xla_dump_hlo_as_text": True,
    }
    if not request.whole:
        threading.Thread(target=_watch, args=(folder, topology), daemon=True).start()
    try:
        program.compile(compiler_options=options)
    except jax.errors.JaxRuntimeError as error:
        over = memory.exceeded(str(error))
        if over is None:
            raise
        _say(folder, _memory(folder) or memory.Memory(over.bytes, over.largest), topology)
    whole = _memory(folder)
    if whole is None:
        raise RuntimeError(f"the compiler has written no {_REPORT}")
    _say(folder, whole, topology)


_SAYING = threading.Lock()


def _watch(folder: Path, topology: Topology) -> None:
    """Answers as soon as buffers are assigned; generating code would take minutes more."""
    while True:
        time.sleep(_WAIT)
        found = _memory(folder)
        if found is not None:
            _say(folder, found, topology)


def _memory(folder: Path) -> memory.Memory | None:
    text = _dumped(folder, _REPORT)
    return memory.report(text) if text else None


def _dumped(folder: Path, part: str) -> str:
    """The largest file whose name has that part; empty where there is none."""
    paths = sorted(folder.glob(f"*{part}*"), key=lambda path: path.stat().st_size)
    return paths[-1].read_text(errors="replace") if paths else ""


def _say(folder: Path, found: memory.Memory, topology: Topology) -> NoReturn:
    """Answers with what a folder of dumps holds; one of two threads gets here."""
    _SAYING.acquire()
    sent = _dumped(folder, _SENT)
    told = {**_fits(found, topology.chip.memory), **(_traffic(sent) if sent else {})}
    if code := _dumped(folder, _CODE):
        least = cycles.estimate(hlo.module(code))
        told["cycles"] = least._asdict()
    answer(told)


def _fits(found: memory.Memory, capacity: int) -> dict[str, Any]:
    return {
        "bytes": found.bytes,
        "fits": not capacity or found.bytes <= capacity,
        "largest": [own._asdict() for own in found.largest],
    }


def _traffic(text: str) -> dict[str, Any]:
    """What is sent in a step, and beside the steps in a call."""
    program = hlo.module(text)
    body = hlo.step_loop(program)
    step = hlo.collectives(hlo.operations(program, body)) if body else []
    call = hlo.collectives(own for own in hlo.operations(program) if own.trips)
    return {
        "step": [own._asdict() for own in step],
        "call": [own._asdict() for own in call],
    }


def _for_cpu(run: Run, topology: Topology, request: Request) -> dict[str, Any]:
    devices = jax.devices("cpu")
    with declared("always"):
        compiled = lowered(run, devices, request.program, request.length).compile()
    used = compiled.memory_analysis()
    total = used.argument_size_in_bytes + used.output_size_in_bytes
    total += used.temp_size_in_bytes - used.alias_size_in_bytes
    # A fake device is a part of the machine.
    capacity = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // topology.devices
    fits = _fits(memory.Memory(total, ()), capacity)
    return fits | {"capacity": capacity} | _traffic(compiled.as_text())


if __name__ == "__main__":
    main()
