"""Traces of some steps."""

import gzip
import json

import jax
import jax.numpy as jnp
import pytest
from etils import epath

from rare_retention.errors import UserError
from rare_retention.watch.profile import FOLDER, Profiler, Span, read_span


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("10", "expected FIRST:LAST with FIRST below LAST"),
        ("20:10", "expected FIRST:LAST with FIRST below LAST"),
        ("10:10", "expected FIRST:LAST with FIRST below LAST"),
        ("-1:10", "expected FIRST:LAST with FIRST below LAST"),
        ("a:b", "expected FIRST:LAST with FIRST below LAST"),
        ("", "expected FIRST:LAST with FIRST below LAST"),
        ("40:49", "no run has these steps; they go from 0 to 48"),
    ],
)
def test_bad_ranges_are_refused_in_one_line(text, message):
    with pytest.raises(UserError, match=f"--profile={text}: {message}") as caught:
        read_span(text, [(0, 48), (20, 30)])
    assert "\n" not in str(caught.value)


def test_a_range_that_one_run_has_is_taken():
    assert read_span("0:48", [(0, 48)]) == Span(0, 48)
    assert read_span("20:30", [(40, 48), (20, 30)]) == Span(20, 30)
    with pytest.raises(UserError, match="no run has these steps"):
        read_span("25:45", [(20, 30), (40, 48)])


def test_calls_end_where_the_span_does_if_the_run_comes_by():
    profiler = Profiler(Span(10, 20), print, writes=True)
    assert profiler.stops(0, 48) == (10, 20)
    assert profiler.stops(10, 20) == (10, 20)
    assert profiler.stops(11, 48) == ()  # it goes on from behind the first step
    assert profiler.stops(0, 19) == ()


def test_hosts_but_the_first_end_their_calls_there_and_trace_nothing(tmp_path):
    said = []
    profiler = Profiler(Span(10, 20), said.append, writes=False)
    assert profiler.stops(0, 48) == (10, 20)
    profiler.calls(10, epath.Path(tmp_path))
    assert profiler.reached(20, jnp.ones(1)) and profiler.done
    assert not said and not list(tmp_path.iterdir())


def run(profiler, folder, ends):
    """Calls that end at these states, as the loop makes them."""
    step, double = 0, jax.jit(lambda x: x * 2)
    state = jnp.ones(4)
    profiler.stops(0, 48)
    for end in ends:
        profiler.calls(step, folder)
        state = double(state)
        step = end
        profiler.reached(step, state)
    profiler.leave()


def traces(folder):
    return list((folder / FOLDER / "plugins" / "profile").glob("*"))


def test_the_first_run_that_comes_by_leaves_a_trace_for_tensorboard_and_perfetto(tmp_path):
    said = []
    profiler = Profiler(Span(10, 20), said.append, writes=True)
    assert "no profile" in profiler.unused()
    for name in ("one", "two"):
        run(profiler, epath.Path(tmp_path) / name, (10, 15, 20, 48))
    assert said == [f"profile of steps 10:20: {tmp_path / 'one' / FOLDER}"]
    assert not (tmp_path / "two").exists() and not profiler.unused()
    (trace,) = traces(tmp_path / "one")
    (plane,) = trace.glob("*.xplane.pb")
    assert plane.stat().st_size
    events = json.loads(gzip.decompress((trace / "perfetto_trace.json.gz").read_bytes()))
    steps = [e["args"]["step_num"] for e in events["traceEvents"] if e.get("name") == "train"]
    assert sorted(map(int, steps)) == [10, 15]


def test_a_run_that_stops_among_the_steps_leaves_what_there_is(tmp_path):
    said = []
    profiler = Profiler(Span(10, 20), said.append, writes=True)
    run(profiler, epath.Path(tmp_path), (10, 15))
    (line,) = said
    assert "where the run was stopped" in line
    assert len(traces(tmp_path)) == 1 and not profiler.unused()
