"""Random damage to every kind of file of a study: it is found, or it changes nothing.

`FAULTS=1000 python -m pytest tests/faults`, or `make faults`, tries as many as that for each
setting; by default a few dozen, which are others in each setting but the same every time.
"""

import collections
import os
import random
from pathlib import Path

import pytest
import tiny
import tiny_text
from etils import epath

from rare_retention.errors import UserError
from rare_retention.record.files import CONFIG
from rare_retention.record.records import RESUME, RETENTION, STATES
from rare_retention.study.execute import execute
from rare_retention.study.folder import (
    DEFINITIONS,
    RECIPE,
    RESULTS,
    RUNS,
    STUDY,
    stored_definitions,
    stored_study,
)
from rare_retention.study.grid import Study
from rare_retention.study.inspection import inspect
from rare_retention.study.results import collect, gather

COUNT = int(os.environ.get("FAULTS", "40"))
ROOTS = (RESUME, RETENTION, STATES)


def regression():
    return tiny.study(streams=2, run__steps=24, run__measure__every=8, run__checkpoints__every=8)


def language():
    run = tiny_text.run(steps=8, measure__every=4, checkpoints__every=4)
    return Study(name="x", run=run, streams=2, claims=("learns_text",))


SETTINGS = {"regression": regression, "language": language}


@pytest.fixture(scope="module", params=SETTINGS)
def done(request, tmp_path_factory):
    """A finished study with its results, and what it held when it was whole."""
    study = SETTINGS[request.param]()
    workdir = epath.Path(tmp_path_factory.mktemp(request.param))
    assert not execute(study, workdir).failed
    collect(study, workdir)
    return request.param, study, workdir, gather(study, workdir)


def kind(path, workdir):
    """What a file is: the first folder below its run, or its own name."""
    parts = path.relative_to(workdir).parts
    return parts[0] if parts[0] != RUNS else parts[2]


def flip(rng, content):
    at = rng.randrange(len(content))
    return content[:at] + bytes([content[at] ^ (1 << rng.randrange(8))]) + content[at + 1 :]


def zero(rng, content):
    at = rng.randrange(len(content))
    length = min(rng.choice((1, 16, 512)), len(content) - at)
    return content[:at] + bytes(length) + content[at + length :]


def cut(rng, content):
    return content[: rng.randrange(len(content))]


def empty(rng, content):
    return b""


def noise(rng, content):
    return rng.randbytes(len(content))


def digit(rng, content):
    """Another digit where there is one: an edit by hand."""
    places = [i for i, byte in enumerate(content) if chr(byte).isdigit()]
    if not places:
        return flip(rng, content)
    at = rng.choice(places)
    other = rng.choice([own for own in b"0123456789" if own != content[at]])
    return content[:at] + bytes([other]) + content[at + 1 :]


DAMAGES = (flip, zero, cut, empty, noise, digit)


def damaged(rng, path, same):
    """Changes one file: its bytes, or for those of another of its kind, or away with it."""
    content = path.read_bytes()
    others = [other for other in same if other != path and other.read_bytes() != content]
    what = rng.randrange(len(DAMAGES) + 2)
    if what == len(DAMAGES):
        path.unlink()
        return "removed"
    if what > len(DAMAGES) and others:
        path.write_bytes(rng.choice(others).read_bytes())
        return "another's"
    change = DAMAGES[what % len(DAMAGES)]
    path.write_bytes(change(rng, content) if content else b"x")
    return change.__name__


def seen(study, workdir, path, whole):
    """What became of a damage: "found", "harmless" or "silent"."""
    try:
        now = gather(study, workdir)
        same = now.drop_attrs().identical(whole.drop_attrs())
        if path.name == STUDY:
            same &= stored_study(workdir) == study
        if path.name in (RECIPE, DEFINITIONS):
            stored_study(workdir)
            stored_definitions(workdir)
    except UserError as error:
        return "found" if "\n" not in str(error) else "several lines"
    if not same:
        return "silent"
    if kind(path, workdir) not in (*ROOTS, RESULTS, CONFIG):
        return "harmless"
    faults = list(inspect(workdir))
    assert all("\n" not in fault.why for fault in faults)
    return "found" if faults else "harmless"


def test_damage_is_found_or_changes_nothing(done, record_property):
    setting, study, workdir, whole = done
    files = sorted(
        path
        for path in map(epath.Path, Path(workdir).rglob("*"))
        if path.is_file() and kind(path, workdir) not in ("tensorboard", "claims.json")
    )
    by_kind = collections.defaultdict(list)
    for path in files:
        by_kind[kind(path, workdir)].append(path)
    rng = random.Random(setting)
    table = collections.Counter()
    for i in range(COUNT):
        name = sorted(by_kind)[i % len(by_kind)]
        path = rng.choice(by_kind[name])
        content = path.read_bytes()
        what = damaged(rng, path, by_kind[name])
        try:
            found = seen(study, workdir, path, whole)
        finally:
            path.write_bytes(content)
        table[name, found] += 1
        assert found in ("found", "harmless"), f"{path}, {what}: {found}"
    for (name, found), count in sorted(table.items()):
        record_property("tried", f"{setting:<12}{name:<18}{found:<10}{count}")
    assert gather(study, workdir).drop_attrs().identical(whole.drop_attrs())
