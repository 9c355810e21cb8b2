import asyncio

import pytest

from rare_retention.record.event_loops import loops_that_finish


async def failing(done):
    """Fails at once, while something else that it began goes on."""

    async def slow():
        await asyncio.sleep(0.05)
        done.append("read")
        raise OSError("damaged too")

    rest = asyncio.ensure_future(slow())
    await asyncio.gather(rest, asyncio.ensure_future(fail()))


async def fail():
    raise OSError("damaged")


def run(work):
    """As Orbax does: a loop is closed as soon as the work has failed."""
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(work)
    finally:
        loop.close()


def test_what_was_begun_is_finished_before_the_loop_closes(caplog):
    done = []
    with loops_that_finish(), pytest.raises(OSError, match=r"damaged$"):
        run(failing(done))
    assert done == ["read"]
    assert not caplog.records  # no "Task exception was never retrieved"


def test_other_loops_are_as_usual():
    usual = asyncio.get_event_loop_policy()
    with pytest.raises(ZeroDivisionError), loops_that_finish():
        raise ZeroDivisionError
    assert asyncio.get_event_loop_policy() is usual


def test_a_closed_loop_may_be_closed_again():
    with loops_that_finish():
        loop = asyncio.new_event_loop()
    loop.close()
    loop.close()
