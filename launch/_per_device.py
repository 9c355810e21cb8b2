"""One process for each GPU or TPU chip of this machine: what each sees, and their common end."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import IO

from rare_retention.errors import UserError

DEVICES = "/dev"
"""Where the system shows its devices."""

_FIRST_PORT = 8476  # of TPU processes on one machine, as the runtime counts them


def environments(environ: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """What to add to the environment of each process, so that it sees one device.

    Devices are those that CUDA_VISIBLE_DEVICES or TPU_VISIBLE_CHIPS list, or else all of this
    machine; no accelerator library is loaded, which would take them all.

    Args:
        environ: of this process.

    Returns:
        Name of each device, such as "gpu0" or "tpu3" -> variables.

    Raises:
        UserError: there is neither a GPU nor a TPU.
    """
    place = Path(DEVICES)
    gpus = _listed(environ, "CUDA_VISIBLE_DEVICES") or _count(place, "nvidia[0-9]*")
    if gpus:
        return {f"gpu{gpu}": {"CUDA_VISIBLE_DEVICES": gpu} for gpu in gpus}
    chips = _listed(environ, "TPU_VISIBLE_CHIPS")
    chips = chips or _count(place, "accel[0-9]*") or _count(place / "vfio", "[0-9]*")
    if chips:
        return {f"tpu{chip}": _of_chip(chip, i) for i, chip in enumerate(chips)}
    raise UserError(
        "--per_device: there is no GPU or TPU here; start as many workers as wanted without it"
    )


def _listed(environ: Mapping[str, str], name: str) -> list[str]:
    return [part.strip() for part in environ.get(name, "").split(",") if part.strip()]


def _count(folder: Path, pattern: str) -> list[str]:
    """Numbers from 0 for the devices there: containers see a part, under other numbers."""
    return [str(i) for i in range(len(list(folder.glob(pattern))))]


def _of_chip(chip: str, index: int) -> dict[str, str]:
    """Variables for a process of its own on one chip, that knows no others."""
    port = str(_FIRST_PORT + index)
    return {
        "TPU_VISIBLE_CHIPS": chip,
        "TPU_CHIPS_PER_PROCESS_BOUNDS": "1,1,1",
        "TPU_PROCESS_BOUNDS": "1,1,1",
        "TPU_PROCESS_ADDRESSES": f"localhost:{port}",
        "TPU_PROCESS_PORT": port,
        "CLOUD_TPU_TASK_ID": "0",
        "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
    }


def together(command: Sequence[str], each: Mapping[str, Mapping[str, str]]) -> int:
    """Runs a command once for each device, and waits for all.

    Their lines are printed with the device's name in front. Ctrl-C and SIGTERM are handed on.

    Args:
        command: program and arguments.
        each: name of a device -> variables, as `environments` gives them.

    Returns:
        The exit code of them all: 0 where all that were not killed ended well, as these have then
        done the work of the others; or else the highest one.
    """
    started: dict[str, subprocess.Popen[bytes]] = {}
    with _handed_on(started):
        for name, variables in each.items():
            started[name] = subprocess.Popen(
                command,
                env={**os.environ, **variables},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches it once, from here
            )
        readers = [
            threading.Thread(target=_print, args=(name, process.stdout))
            for name, process in started.items()
        ]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
        codes = {name: process.wait() for name, process in started.items()}
    for name, code in codes.items():
        if code < 0:
            print(f"{name}: its worker was killed by signal {-code}", file=sys.stderr, flush=True)
    return max((code for code in codes.values() if code >= 0), default=1)


def _print(name: str, stream: IO[bytes]) -> None:
    """Prints the lines of a process; of a progress bar, which overwrites itself, the last state."""
    with stream:
        for line in stream:
            text = line.decode(errors="replace").rstrip().rpartition("\r")[2]
            if text.strip():
                print(f"{name}: {text}", flush=True)


@contextlib.contextmanager
def _handed_on(started: Mapping[str, subprocess.Popen[bytes]]) -> Iterator[None]:
    """While entered, signals that ask this process to stop are handed to those it has started."""

    def hand_on(number: int, frame: FrameType | None) -> None:
        for process in started.values():
            process.send_signal(number)

    before = {n: signal.signal(n, hand_on) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
