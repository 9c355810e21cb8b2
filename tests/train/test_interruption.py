"""Signals, as a request to save and leave."""

import contextlib
import signal
import subprocess
import sys
import threading
import time

import pytest

from rare_retention.train.interruption import SAVING, Interruption


@pytest.fixture
def deaf():
    """Handlers that take no notice, whatever this process inherited."""
    before = {n: signal.signal(n, lambda *_: None) for n in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("deaf")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_for_a_stop(number, capfd):
    with Interruption() as asked:
        assert not asked.requested
        signal.raise_signal(number)
        assert asked.requested
        signal.raise_signal(signal.SIGTERM)
        for _ in range(200):
            if said := capfd.readouterr().err:
                break
            time.sleep(0.05)
    assert said + capfd.readouterr().err == f"\n{SAVING}\n"  # once


CALL = """
import os, signal, threading, time
import numpy as np
from rare_retention.train.interruption import Interruption
a = np.ones((3000, 3000))
threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
with Interruption() as asked:
    for _ in range(1):
        b = np.linalg.svd(a + np.eye(3000))  # one call, in which no handler runs
    os.write(2, b"call ended" + str(asked.requested).encode())
"""


def test_a_signal_is_answered_while_a_call_goes_on():
    ended = subprocess.run(
        [sys.executable, "-c", CALL], capture_output=True, timeout=120, check=True
    )
    assert ended.stderr.decode() == f"\n{SAVING}\ncall endedTrue"


@pytest.mark.usefixtures("deaf")
def test_a_second_ctrl_c_stops_at_once():
    with Interruption():
        signal.raise_signal(signal.SIGTERM)
        try:
            signal.raise_signal(signal.SIGTERM)
        except KeyboardInterrupt:
            pytest.fail("a scheduler may ask twice")
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


@pytest.mark.usefixtures("deaf")
def test_handlers_are_put_back_after_an_error_too():
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]
    with contextlib.suppress(RuntimeError), Interruption():
        assert [signal.getsignal(number) for number in numbers] != before
        raise RuntimeError
    assert [signal.getsignal(number) for number in numbers] == before


@pytest.mark.usefixtures("deaf")
def test_other_threads_leave_signals_alone():
    before, found = signal.getsignal(signal.SIGINT), []

    def enter():
        with Interruption() as asked:
            found.append((signal.getsignal(signal.SIGINT), asked.requested))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert found == [(before, False)]
