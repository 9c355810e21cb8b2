"""What a process of a job does when another is gone; test_lost_hosts.py has real processes."""

import contextlib
import threading
import time
from concurrent import futures
from types import SimpleNamespace

import pytest

from rare_retention import hosts

SAID = """\
DEADLINE_EXCEEDED: Barrier timed out. Id: [Init]Wait_for_all_tasks_to_register::0. This usually \
happens because a task triggered the barrier too early or too slowly.
# of tasks that reached the barrier: 2/5.
The first task at the barrier: 0. Some timed out task names:
3
1
4


RPC: /xla.coordination.CoordinationService/RegisterTask"""


class Table:
    """The table that JAX's coordinator keeps, for all processes."""

    def __init__(self):
        self.said, self.away = {}, False

    def key_value_set(self, name, what, allow_overwrite):
        assert allow_overwrite
        if self.away:
            raise RuntimeError("UNAVAILABLE: the coordinator does not answer")
        self.said[name] = what

    def key_value_dir_get(self, folder):
        return [(name, what) for name, what in self.said.items() if name.startswith(folder)]


class Ended(BaseException):
    pass


@pytest.fixture
def quick(monkeypatch):
    """Makes waiting short; what a process says at its end, and with which code."""
    ends = []

    def end(code):
        ends[-1:] = [(*ends[-1], code)] if ends and len(ends[-1]) == 1 else [*ends[-1:], (code,)]
        raise Ended

    for name, seconds in (("BEAT", 0.02), ("PATIENCE", 1.0), ("GRACE", 0.1)):
        monkeypatch.setattr(hosts, name, seconds)
    monkeypatch.setattr(hosts, "_end", end)
    monkeypatch.setattr(hosts.os, "write", lambda _, line: ends.append((line.decode().strip(),)))
    return ends


def watched(table, index, count=2):
    """A watch that runs in a thread until it ends its process, or is told to stop."""
    watch = hosts.Watch(table, index, count)

    def run():
        with contextlib.suppress(Ended):
            hosts.Watch.run(watch)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return watch, thread


def test_a_process_leaves_when_another_gives_no_sign_of_life(quick):
    table = Table()
    (_, one), (second, two) = watched(table, 0), watched(table, 1)
    time.sleep(1.3)
    assert one.is_alive() and two.is_alive() and not quick
    second._done.set()  # as kill -9 would have it: nothing is said
    one.join(10)
    ((line, code),) = quick
    assert code == hosts.LOST == 75
    assert line.startswith("process 0 of 2: process 1 has given no sign of life for ")
    assert line.endswith(hosts.REMEDY) and "\n" not in line


def test_one_that_has_ended_well_is_not_missed(quick):
    table = Table()
    (first, one), (second, two) = watched(table, 0), watched(table, 1)
    time.sleep(0.1)
    second.finish()
    two.join(10)
    time.sleep(1.3)
    assert one.is_alive() and not quick
    first.finish()
    one.join(10)
    assert not one.is_alive() and not quick


def test_one_that_never_came_is_missed_and_a_silent_coordinator_is_process_0(quick):
    table = Table()
    _, one = watched(table, 1)
    table.away = True
    one.join(10)
    assert quick[0][0].startswith("process 1 of 2: process 0 has given no sign of life")


def test_one_that_has_failed_is_named_with_its_reason_after_a_while(quick):
    table = Table()
    first, one = watched(table, 0)
    with pytest.raises(Ended):
        hosts.Watch(table, 1, 2).leave("UserError: the disk is full", 2)
    assert quick == [(2,)]
    quick.clear()
    one.join(10)
    ((line, code),) = quick
    assert code == hosts.LOST
    assert "process 1 has failed (UserError: the disk is full); the same command" in line
    assert not first._done.is_set()


def test_processes_that_fail_alike_know_it_each_time(quick):
    table = Table()
    watches = [hosts.Watch(table, index, 3) for index in range(3)]
    for _ in range(2):
        with futures.ThreadPoolExecutor() as pool:
            assert list(pool.map(hosts.Watch.all_fail, watches)) == [True] * 3


def test_one_that_fails_alone_knows_it_and_asks_no_second_time(quick):
    alone = hosts.Watch(Table(), 0, 2)
    assert not alone.all_fail()
    begin = time.monotonic()
    assert not alone.all_fail()
    assert time.monotonic() - begin < 0.1


def test_a_process_by_itself_is_asked_nothing():
    assert not hosts.several() and hosts.all_fail()
    hosts.leave_after(RuntimeError("x"), 1)  # does nothing


@pytest.mark.parametrize(
    ("index", "said", "who"),
    [
        (0, SAID, "processes 1, 3 and 4"),
        (2, SAID.replace("3\n1\n4", "3"), "process 3"),
        (1, "DEADLINE_EXCEEDED: Deadline Exceeded", "process 0 at a:1"),
    ],
)
def test_processes_that_do_not_come_are_named(index, said, who):
    def shutdown():
        raise RuntimeError(said)

    state = SimpleNamespace(
        process_id=index, num_processes=5, coordinator_address="a:1", shutdown=shutdown
    )
    line = hosts._absent(state, RuntimeError("std::bad_cast"), 45)
    assert line == (
        f"process {index} of 5: {who} did not come within 45 seconds; start all 5 processes with "
        "the same JAX_COORDINATOR_ADDRESS, a:1"
    )
    assert state.client is state.service is None
