"""Plans of a unit, with what a test wants in them."""

from rare_retention.planning.ahead import Compiled
from rare_retention.planning.booking import Booking, Work
from rare_retention.planning.hlo import Collective
from rare_retention.planning.memory import Buffer
from rare_retention.planning.topology import parse


def compiled(size, capacity=100):
    sent = Collective("all-reduce", 16, "f32", 8, 2**30)
    largest = (Buffer(size // 2, "f32[8]"),)
    return Compiled(size, capacity, size <= capacity, largest, (sent,), (sent,))


def booking(topology="v5e:4x4", fits=True, flags=(), **changes):
    given = {"unit": "stream=0", "sizes": ("4M",), "units": 1, "steps": 1000, "call": 10}
    given |= {"flops": 1e15, "walked": 1e15, "checkpoint": 10**9, "snapshots": 10**10}
    work = Work(**(given | {name: own for name, own in changes.items() if name in given}))
    return Booking(
        work,
        parse(topology),
        changes.get("compiled", {"advance": compiled(10)}),
        changes.get("arithmetic", False),
        fits,
        flags,
        {"data": 1, "fsdp": 16, "accumulate": 8}
        | {"remat": "full", "unroll": 16, "student": 1, "model": 1},
        0.4,
    )
