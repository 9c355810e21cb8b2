"""Ends a test that stands still and says which; one that is merely slow may take its time.

On the clock a deadlock among the fake devices and a compile on a crowded machine look alike. They
differ in processor time: what is slow uses some, what is deadlocked uses none. So a thread adds up
the processor time of this process and of all below it (a test may wait for a launcher), and after
`watchdog_seconds` without any it shows where every thread stands and ends the process: alone the
session ends there, under pytest-xdist the worker is replaced and the test counts as failed.
"""

import faulthandler
import os
import signal
import threading
import time
from pathlib import Path

import pytest

# Share of one core that counts as none: threads that wake to look at a clock use some. What works
# has many times as much, even beside twenty busy programs.
IDLE = 0.001
# Processor seconds that may be an error of rounding: the kernel counts in hundredths.
ROUNDING = 0.05
BEATS = 30
# The thread needs the interpreter's lock. Where C code holds that for this many times
# `watchdog_seconds`, faulthandler, which needs no lock, ends the process.
LOCKED = 10


def processes():
    """Parent and processor seconds, own and of children waited for, of every process there is."""
    tick = os.sysconf("SC_CLK_TCK")
    table = {}
    for entry in os.listdir("/proc"):
        if entry.isdecimal():
            try:
                stat = Path("/proc", entry, "stat").read_text()
            except OSError:  # it has just ended
                continue
            # The name before it stands in brackets, and may hold blanks and brackets.
            fields = stat.rpartition(")")[2].split()
            table[int(entry)] = int(fields[1]), sum(map(int, fields[11:15])) / tick
    return table


def family(pid, table):
    """A process and all below it, of those in `processes()`."""
    members = {pid}
    while more := {p for p, (parent, _) in table.items() if parent in members} - members:
        members |= more
    return members


class Watchdog:
    """Watches one test at a time, from a thread of its own."""

    def __init__(self, seconds, stderr):
        self._seconds = seconds
        self._idle = max(ROUNDING, IDLE * seconds)
        self._stderr = stderr
        self._lock = threading.Lock()
        self._test = None
        self._off = threading.Event()
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def begin(self, test):
        if not self._off.is_set():
            with self._lock:
                self._test = test
                self._arm()

    def end(self):
        with self._lock:
            self._test = None
            faulthandler.cancel_dump_traceback_later()

    def stop(self):
        self._off.set()
        self.end()

    def _arm(self):
        faulthandler.dump_traceback_later(LOCKED * self._seconds, exit=True, file=self._stderr)

    def _watch(self):
        # Beats are counted, not seconds: while the machine sleeps or the process is stopped there
        # are none.
        seen, still, mark = None, 0, 0.0
        while not self._off.wait(self._seconds / BEATS):
            with self._lock:
                test = self._test
                if test is None:
                    continue
                self._arm()
                table = processes()
                members = family(os.getpid(), table)
                # Its own looking round is no work.
                spent = sum(table[p][1] for p in members) - time.thread_time()
                if test != seen or abs(spent - mark) > self._idle:
                    seen, still, mark = test, 0, spent
                    continue
                still += 1
                if still >= BEATS:
                    self._kill(test, members)

    def _kill(self, test, members):
        line = f"watchdog: {test} has stood still for {self._seconds:g} seconds, using no processor"
        os.write(self._stderr, f"\n{line}\n".encode())
        faulthandler.dump_traceback(file=self._stderr)
        for pid in members - {os.getpid()}:
            os.kill(pid, signal.SIGKILL)
        os._exit(1)


_STDERR = pytest.StashKey()
_WATCHDOG = pytest.StashKey()


def pytest_addoption(parser):
    parser.addini("watchdog_seconds", "how long a test may use no processor", default="180")


def pytest_configure(config):
    # While a test runs, standard error is captured: a copy of the real one is taken before.
    config.stash[_STDERR] = os.dup(2)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    stash = item.config.stash
    if not Path("/proc/self/stat").exists():
        return (yield)
    if _WATCHDOG not in stash:  # here and not earlier: pytest-xdist's controller runs no test
        stash[_WATCHDOG] = Watchdog(float(item.config.getini("watchdog_seconds")), stash[_STDERR])
    stash[_WATCHDOG].begin(item.nodeid)
    try:
        return (yield)
    finally:
        stash[_WATCHDOG].end()


def pytest_enter_pdb(config):
    """Whoever debugs may think for as long as they like."""
    if _WATCHDOG in config.stash:
        config.stash[_WATCHDOG].stop()
