"""A trace of some steps by JAX's profiler, for TensorBoard and Perfetto."""

import contextlib
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import jax
from etils import epath
from tqdm import tqdm

from rare_retention.errors import UserError

FOLDER = "profile"
"""Where the folder of a run has its traces."""


class Span(NamedTuple):
    """Steps that are traced.

    Attributes:
        first: updates applied before the first of them.
        last: updates applied after the last.
    """

    first: int
    last: int

    def __str__(self) -> str:
        return f"{self.first}:{self.last}"


def read_span(text: str, runs: Iterable[tuple[int, int]]) -> Span:
    """The steps that a user asks for.

    Args:
        text: such as "10:20".
        runs: step that each run of the job starts from, and its last one.

    Raises:
        UserError: it is no range, or no run has such steps.
    """
    match = re.fullmatch(r"(\d+):(\d+)", text)
    span = Span(*map(int, match.groups())) if match else None
    known = sorted(set(runs))
    if span is None or span.first >= span.last:
        raise UserError(
            f"--profile={text}: expected FIRST:LAST with FIRST below LAST, as in 10:20 for the "
            "steps from state 10 to state 20"
        )
    if not any(start <= span.first and span.last <= end for start, end in known):
        start, end = known[0][0], max(end for _, end in known)
        raise UserError(
            f"--profile={text}: no run has these steps; they go from {start:,} to {end:,}"
        )
    return span


class _Trace(NamedTuple):
    """A trace that has begun: where it is written, and where it is to stand."""

    local: Path
    folder: epath.Path


class Profiler:
    """Traces a span of steps once in a job: in the first run that is trained through all of it."""

    def __init__(self, span: Span, say: Callable[[str], object], writes: bool) -> None:
        """Names the steps; nothing is traced yet.

        Args:
            span: of steps.
            say: prints a line.
            writes: whether this process traces; of several the first does.
        """
        self.span = span
        self.done = False
        self._say = say
        self._writes = writes
        self._armed = False
        self._trace: _Trace | None = None
        self._call = contextlib.ExitStack()

    def stops(self, start: int, steps: int) -> tuple[int, ...]:
        """States at which a run's calls must end, so that whole calls are traced.

        Args:
            start: state that the run goes on from.
            steps: its last one.
        """
        self._armed = not self.done and start <= self.span.first and self.span.last <= steps
        return tuple(self.span) if self._armed else ()

    def calls(self, start: int, folder: epath.Path) -> None:
        """A call is about to begin.

        Args:
            start: state that it begins from.
            folder: of the run.
        """
        if self._armed and self._writes and start == self.span.first:
            remote = "://" in str(folder)
            local = Path(tempfile.mkdtemp() if remote else folder / FOLDER)
            local.mkdir(parents=True, exist_ok=True)
            jax.profiler.start_trace(str(local), create_perfetto_trace=True)
            self._trace = _Trace(local, folder / FOLDER)
        if self._trace is not None:
            self._call.enter_context(jax.profiler.StepTraceAnnotation("train", step_num=start))

    def reached(self, step: int, state: Any) -> bool:
        """A call has been given to the devices, and leads to a state.

        Args:
            step: of the state.
            state: its arrays, waited for where the span ends.

        Returns:
            Whether a trace has ended.
        """
        self._call.close()
        if not self._armed or step < self.span.last:
            return False
        self.done, self._armed = True, False
        if self._trace is not None:
            jax.block_until_ready(state)
            self._end(self._trace, f"steps {self.span}")
        return True

    def leave(self) -> None:
        """The run has ended or stops: a trace that has begun ends here."""
        self._call.close()
        self._armed = False
        if self._trace is not None:
            self.done = True
            self._end(self._trace, f"the first of steps {self.span}, where the run was stopped")

    def _end(self, trace: _Trace, what: str) -> None:
        jax.profiler.stop_trace()
        self._trace = None
        if Path(trace.folder) != trace.local:
            _upload(*trace)
            shutil.rmtree(trace.local)
        with tqdm.external_write_mode():  # above the bar
            self._say(f"profile of {what}: {trace.folder}")

    def unused(self) -> str:
        """What to say at the end of a job that has traced nothing; "" where it has."""
        if self.done:
            return ""
        return (
            f"no profile: no run was trained through the steps {self.span} in this job; those that "
            "were done before are not trained again"
        )


def _upload(local: Path, folder: epath.Path) -> None:
    for path in sorted(local.rglob("*")):
        if path.is_file():
            target = folder / str(path.relative_to(local))
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
