"""The processes of one job: how they find each other, and what they do when one of them is gone.

A collective operation waits for all processes, and nothing wakes the one that waits for a process
that is gone. So a thread beside it says every few seconds that this process is there, in the table
that JAX's coordinator keeps for the job, reads there who else is, and ends this process when
another one is not: what was saved is whole, and the same command goes on.
"""

import atexit
import contextlib
import ctypes
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

from rare_retention.errors import UserError

LOST = 75
"""Exit code of a process that leaves since another one is gone: EX_TEMPFAIL, "try again"."""

JOIN = 45
"""Seconds in which all processes of a job have to be started."""

BEAT = 2.0
"""Seconds between two signs of life."""

PATIENCE = 16.0
"""Seconds without a sign of life after which a process is gone."""

GRACE = 8.0
"""Seconds in which processes that fail alike end by themselves, each with its own message."""

REMEDY = "the same command goes on from what was saved, with as many processes as there are"


class Absent(UserError):
    """Not all processes of a job have been started."""

    code = LOST


class Alone(UserError):
    """A process has failed and the others have not."""

    code = 1


_WATCH: "Watch | None" = None


def join(address: str | None, count: int | None, index: int | None, seconds: int = JOIN) -> None:
    """Joins the other processes of the job, and watches them from then on.

    Args:
        address: host:port of the first one; None where JAX knows the cluster, such as a TPU slice.
        count: number of processes; None as `address`.
        index: number of this one; None as `address`.
        seconds: in which all have to be started.

    Raises:
        Absent: they were not; the message names those that are missing as far as that is known.
    """
    global _WATCH
    import jax
    from jax._src import distributed

    try:
        with _naming_the_absent(distributed, seconds):
            jax.distributed.initialize(
                address,
                count,
                index,
                initialization_timeout=seconds + 10,
                heartbeat_timeout_seconds=60,
                shutdown_timeout_seconds=3600,  # others may be making the report
            )
    except RuntimeError as error:
        raise Absent(_absent(distributed.global_state, error, seconds)) from error
    state = distributed.global_state
    if state.num_processes > 1:
        _WATCH = Watch(state.client, state.process_id, state.num_processes)
        _end_on_abort(f"process {state.process_id} of {state.num_processes}: ")
        _WATCH.start()
        atexit.register(_WATCH.finish)  # before JAX's own, which waits for all others


@contextlib.contextmanager
def _naming_the_absent(distributed: Any, seconds: int) -> Iterator[None]:
    """While entered, JAX's coordinator says after some seconds who has not come, and nobody aborts.

    By default it waits for an hour, and each process aborts after five minutes without a name. JAX
    hands neither limit through; a version that is built otherwise keeps its own.
    """
    real: Any = getattr(distributed, "_jax", None)
    if not hasattr(real, "get_distributed_runtime_service"):
        yield
        return

    class Jax:
        def __getattr__(self, name: str) -> Any:
            return getattr(real, name)

        def get_distributed_runtime_service(self, *args: Any, **given: Any) -> Any:
            return real.get_distributed_runtime_service(
                *args, cluster_register_timeout=seconds, **given
            )

        def get_distributed_runtime_client(self, *args: Any, **given: Any) -> Any:
            return real.get_distributed_runtime_client(
                *args, missed_heartbeat_callback=lambda *_: None, **given
            )

    distributed._jax = Jax()
    try:
        yield
    finally:
        distributed._jax = real


def _absent(state: Any, error: Exception, seconds: int) -> str:
    """Who has not come, from what JAX says at its end."""
    said = str(error)
    try:
        state.shutdown()
    except RuntimeError as other:  # which tells why it could not start
        said = f"{said} {other}"
    state.client = state.service = state.preemption_sync_manager = None  # or JAX tries at exit
    first, count = state.coordinator_address, state.num_processes
    if found := re.search(r"timed out task names:\s*((?:[\w:/.-]+[\s,]*?)+?)\s*(?:RPC|\[|$)", said):
        who = counted(sorted(map(int, re.findall(r"(\d+)(?=\s|,|$)", found[1]))))
    else:
        who = f"process 0 at {first}" if state.process_id else "the other processes"
    return (
        f"process {state.process_id} of {count}: {who} did not come within {seconds} seconds; "
        f"start all {count} processes with the same JAX_COORDINATOR_ADDRESS, {first}"
    )


def counted(numbers: Sequence[int]) -> str:
    """Processes by their numbers, as in a sentence: "process 1", "processes 1, 3 and 4"."""
    *others, last = map(str, numbers)
    return f"processes {', '.join(others)} and {last}" if others else f"process {last}"


class Watch(threading.Thread):
    """Signs of life of this process, and whether the others give theirs."""

    def __init__(self, client: Any, index: int, count: int) -> None:
        """Watches nothing before it is started.

        Args:
            client: of JAX's coordinator.
            index: number of this process.
            count: number of processes.
        """
        super().__init__(daemon=True, name="hosts")
        self._client, self._index, self._count = client, index, count
        self._done = threading.Event()
        self._failures, self._alone = 0, False

    def run(self) -> None:
        """Gives signs of life and ends the process when another one gives none."""
        beat, began = 0, time.monotonic()
        seen = {i: ("", began) for i in range(self._count) if i != self._index}
        left: dict[int, float] = {}
        while not self._done.wait(BEAT):
            beat, now = beat + 1, time.monotonic()
            try:
                self._say("alive", str(beat))
                alive, gone = self._all("alive"), self._all("left")
            except Exception:  # of the coordinator: whatever it is, it does not answer
                alive, gone = {}, {}
            if self._done.is_set():
                return
            for i, (before, at) in seen.items():
                if alive.get(i, before) != before:
                    seen[i] = (alive[i], now)
                elif now - at > PATIENCE and before != "end":
                    self._leave(f"process {i} has given no sign of life for {now - at:.0f} seconds")
            for i, why in gone.items():
                if i != self._index and now - left.setdefault(i, now) > GRACE:
                    self._leave(f"process {i} has failed ({why})")

    def finish(self) -> None:
        """Stops to watch, and says that this process needs to be watched no more."""
        self._done.set()
        with contextlib.suppress(Exception):
            self._say("alive", "end")

    def all_fail(self) -> bool:
        """Whether all processes ask this; waits until that is known.

        Where another one is gone, which this one has seen as an error, the process ends here.
        """
        if self._alone:
            return False
        self._failures += 1
        kind = f"failed-{self._failures}"
        until = time.monotonic() + PATIENCE + 3 * BEAT
        while time.monotonic() < until:
            with contextlib.suppress(Exception):
                self._say(kind, "1")
                if len(self._all(kind)) == self._count:
                    return True
            time.sleep(0.2)
        self._alone = True
        return False

    def leave(self, why: str, code: int) -> NoReturn:
        """Ends this process, which has said why on its terminal, and tells the others."""
        with contextlib.suppress(Exception):
            self._say("left", why)
        _end(code)

    def _leave(self, why: str) -> NoReturn:
        os.write(2, f"\nprocess {self._index} of {self._count}: {why}; {REMEDY}\n".encode())
        _end(LOST)

    def _say(self, kind: str, what: str) -> None:
        self._client.key_value_set(f"hosts/{kind}/{self._index}", what, allow_overwrite=True)

    def _all(self, kind: str) -> dict[int, str]:
        """What each process has said."""
        found = self._client.key_value_dir_get(f"hosts/{kind}/")
        return {int(name.rpartition("/")[2]): what for name, what in found}


def several() -> bool:
    """Whether this process is one of several of a job."""
    return _WATCH is not None


def all_fail() -> bool:
    """Whether an error on this process is one on all of them: they can go on together after it."""
    return _WATCH is None or _WATCH.all_fail()


def leave_after(error: BaseException, code: int) -> None:
    """Ends this process after an error if it is one of several, and lets the others know.

    Without that, JAX waits at the end of a process for all others, which wait for this one.
    """
    if _WATCH is not None:
        _WATCH.leave(" ".join(f"{type(error).__name__}: {error}".split())[:300], code)


def _end(code: int) -> NoReturn:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    os._exit(code)


_HANDLER = ctypes.CFUNCTYPE(None, ctypes.c_int)
_handlers: list[Any] = []  # C keeps no reference


def _end_on_abort(start: str) -> None:
    """Has an abort end in a line and `LOST`.

    JAX aborts in a thread of its own where the coordinator, the first process, is gone: before it
    was missed, and past all that Python could catch.
    """

    def end(_: int) -> None:
        line = f"\n{start}JAX has ended it, most likely since process 0 is gone; {REMEDY}\n"
        os.write(2, line.encode())
        os._exit(LOST)

    handler = _HANDLER(end)
    _handlers.append(handler)
    library = ctypes.CDLL(None)
    library.signal.argtypes, library.signal.restype = [ctypes.c_int, _HANDLER], ctypes.c_void_p
    library.signal(int(signal.SIGABRT), handler)
