"""Plans in words: of one unit, and tables of many."""

from collections.abc import Iterator, Sequence

from rare_retention.planning.booking import KERNEL_SHARE, Booking, total
from rare_retention.planning.hlo import Collective
from rare_retention.wording import plural

APART = 0.02
"""Share by which two counts of operations may differ before it is said."""

_SHOWN = 4  # buffers, and kinds of collectives


def unit(own: Booking) -> Iterator[str]:
    """Lines about a unit on a topology."""
    work, topology = own.work, own.topology
    booked = f", accelerator type {topology.accelerator}" if topology.accelerator else ""
    yield f"unit       {work.unit}" + (f", and {work.units - 1} alike" if work.units > 1 else "")
    yield (
        f"topology   {topology.name}: {plural(topology.chips, 'chip')} on "
        f"{plural(topology.hosts, 'host')}{booked}"
    )
    if own.most is not None:
        word = "fits" if own.fits else "does not fit"
        by = "arithmetic, a quarter kept free" if own.arithmetic else "the compiler's word"
        yield (
            f"memory     {word}: {gib(own.most.bytes)} of {gib(own.most.capacity)} a device ({by})"
        )
        if len(own.compiled) > 1:
            parts = (f"{name} {gib(each.bytes)}" for name, each in own.compiled.items())
            yield f"  programs {', '.join(parts)}"
        for buffer in own.most.largest[:_SHOWN]:
            yield f"  {gib(buffer.bytes):>10} {buffer.shapes[:80]}"
    yield from _traffic(own)
    yield f"compute    {work.flops:.4g} FLOPs a step, {work.walked:.4g} as traced"
    if work.flops and abs(work.walked / work.flops - 1) > APART:
        yield f"  the two counts differ by {work.walked / work.flops - 1:+.1%}"
    yield from _time(own)
    yield (
        f"disk       {mb(work.checkpoint)} a checkpoint, {mb(work.snapshots)} of snapshots in all"
    )
    spread = ", ".join(f"{name} {value}" for name, value in own.choice.items() if value != "")
    yield f"choice     {spread}"
    if not own.fits:
        yield "flags      none found that fit; book more memory"
    elif own.flags:
        yield f"flags      {' '.join(own.flags)}"
    else:
        yield "flags      none are needed"


def _traffic(own: Booking) -> Iterator[str]:
    sent = next((each.step for each in own.compiled.values() if each.step), ())
    if sent:
        yield f"traffic    {gib(sum(one.bytes for one in sent))} a step and device"
    for one in sent[:_SHOWN]:
        yield f"  {gib(one.bytes):>10} {told(one)}"


def told(own: Collective) -> str:
    """A collective in words."""
    return f"{own.kind} of {own.dtype} among {own.group}, {own.times:,} a step"


def _time(own: Booking) -> Iterator[str]:
    work = own.work
    if own.seconds is None:
        yield "time       not known: no peak is stated for these devices"
        return
    yield (
        f"time       {own.seconds:.3g} s a step at an assumed MFU of {own.mfu:g}; a call of "
        f"{plural(work.call, 'step')} {own.seconds * work.call / 60:.2g} minutes"
    )
    if own.bound is not None:
        best = work.flops / own.topology.peak / own.bound
        yield f"  at least {own.bound:.3g} s by the compiler's estimate, MFU at most {best:.0%}"
    if own.charged is not None:
        yield (
            f"  with kernels of attention, of which it has none, at {KERNEL_SHARE:.0%} of the peak "
            f"{own.charged:.3g} s, MFU {work.flops / own.topology.peak / own.charged:.0%}"
        )
    yield (
        f"cost       {_count(own.hours or 0)} hours of {work.steps:,} steps, "
        f"{_count(own.chip_hours or 0)} chip-hours; measuring, compiling and saving come on top"
    )


def table(rows: Sequence[Sequence[Booking]], markdown: bool = False) -> Iterator[str]:
    """Lines of a table: a row for each unit, a column for each topology.

    Args:
        rows: of each unit its plan on each topology, in the same order.
        markdown: for a page of documentation, else for a terminal.
    """
    names = [own.topology.name for own in rows[0]]
    cells = [["size", *names]]
    cells += [[", ".join(row[0].work.sizes), *map(_cell, row)] for row in rows]
    totals = [_total([row[i] for row in rows]) for i in range(len(names))]
    cells.append(["chip-hours of the study", *totals])
    if markdown:
        head, *body = cells
        yield f"| {' | '.join(head)} |"
        yield f"|{' --- |' * len(head)}"
        yield from (f"| {' | '.join(line)} |" for line in body)
        return
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    for line in cells:
        padded = (text.ljust(width) for text, width in zip(line, widths, strict=True))
        yield "  ".join(padded).rstrip()


def _cell(own: Booking) -> str:
    if not own.fits:
        return "does not fit" if own.most is None else f"does not fit: {gib(own.most.bytes)}"
    choice = own.choice
    how = [f"fsdp {choice['fsdp']}"] if choice["fsdp"] > 1 else ["data"]
    how += [f"accumulate {choice['accumulate']}"] if choice["accumulate"] > 1 else []
    how += [f"remat {choice['remat']}"] if choice["remat"] not in ("", "none") else []
    how += [f"unroll {choice['unroll']}"] if choice["unroll"] > 1 else []
    most = "" if own.most is None else f"; {gib(own.most.bytes)}"
    hours = "" if own.chip_hours is None else f"; {_count(own.chip_hours)} chip-hours"
    return f"{', '.join(how)}{most}{hours}"


def _total(column: Sequence[Booking]) -> str:
    whole = total(column)
    return "not known" if whole is None else _count(whole)


def _count(hours: float) -> str:
    return f"{hours:,.0f}" if hours >= 100 else f"{hours:.3g}"


def gib(count: float) -> str:
    """Bytes in GiB, of little in MiB."""
    return f"{count / 2**30:.2f} GiB" if count >= 2**30 / 10 else f"{count / 2**20:.3g} MiB"


def mb(count: float) -> str:
    """Bytes as a disk has them, in MB, GB or TB."""
    for unit_, size in (("TB", 1e12), ("GB", 1e9)):
        if count >= size:
            return f"{count / size:.3g} {unit_}"
    return f"{count / 1e6:.3g} MB"
