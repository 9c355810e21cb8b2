"""The folder of a study: whose it is, and of which layout."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import tiny
import tiny_text
from etils import epath

from rare_retention.errors import UserError
from rare_retention.record.files import write_record
from rare_retention.record.layout import LAYOUT
from rare_retention.record.lock import Held, Lock
from rare_retention.study import folder
from rare_retention.study.folder import (
    DEFINITIONS,
    RECIPE,
    STUDY,
    claim,
    stored_definitions,
    stored_study,
)
from rare_retention.study.grid import Study

GRID = "({'field': 'exposure.gap', 'values': (4, 8)},)"


@pytest.fixture
def workdir(tmp_path):
    return epath.Path(tmp_path / "study")


def change(path, **fields):
    """Fields of a file, sealed anew: as another version would have written them."""
    write_record(path, json.loads(path.read_text()) | fields)


def test_a_claimed_folder_holds_its_study(workdir):
    claim(tiny.study(), workdir)
    assert stored_study(workdir) == tiny.study()
    stored = json.loads((workdir / RECIPE).read_text())
    assert stored.pop("seal") and stored == {
        "layout": LAYOUT,
        "name": "injection",
        "apart": False,
        "run": tiny.run().recipe(),
    }


def test_one_host_writes_for_all(workdir):
    claim(tiny.study(), workdir, write=False)
    assert not workdir.exists()


def test_a_study_may_grow(workdir):
    claim(tiny.study(grid=GRID), workdir)
    more = tiny.study(
        grid=GRID.replace("8", "8, 16"), streams=2, run__steps=96, run__exposure__gap=16
    )
    claim(more, workdir)
    assert stored_study(workdir) == more


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"name": "other"}, "name: 'injection' -> 'other'"),
        ({"run__batch": 64}, "run.batch: 32 -> 64"),
        ({"run__exposure__gap": 16}, "run.exposure.gap: 8 -> 16"),
    ],
)
def test_another_study_is_refused_and_the_folder_left_as_it_is(changes, line, workdir):
    claim(tiny.study(), workdir)
    with pytest.raises(UserError) as caught:
        claim(tiny.study(**changes), workdir)
    assert str(caught.value) == (
        f"{workdir}: holds another study: {line}; choose another --workdir, or undo the change"
    )
    assert stored_study(workdir) == tiny.study()


def test_a_study_of_another_text_is_refused_with_the_reason(workdir, tmp_path):
    text = tmp_path / "text"
    text.mkdir()

    def study():
        return Study(name="text", run=tiny_text.run(tiny_text.language(text)))

    tiny_text.write_tokens(text)
    claim(study(), workdir)
    claim(study(), workdir)
    tiny_text.write_tokens(text, seed=1)
    with pytest.raises(UserError, match=r"run\.setting\.corpus\.identity: '\w+' -> '\w+' \(the tex"
                       r"t has changed: other bytes in 0\.npy, and 2 more\); choose"):  # fmt: skip
        claim(study(), workdir)


@pytest.mark.parametrize("layout", [1, LAYOUT + 1])
def test_another_layout_is_refused_in_one_line(layout, workdir):
    """Files of the first layout do not say theirs."""
    claim(tiny.study(), workdir)
    about = json.loads((workdir / RECIPE).read_text())
    del about["layout"]
    (workdir / RECIPE).write_text(json.dumps(about if layout == 1 else about | {"layout": layout}))
    before = (workdir / RECIPE).read_bytes()
    for read in (lambda: claim(tiny.study(), workdir), lambda: stored_study(workdir)):
        with pytest.raises(UserError) as caught:
            read()
        assert str(caught.value) == (
            f"{workdir}/recipe.json: written by another version of rare_retention (layout {layout} "
            f"of workdirs, this one has {LAYOUT}); choose another --workdir, or use the version "
            "that wrote it"
        )
    assert (workdir / RECIPE).read_bytes() == before


def test_what_is_no_study_is_said(workdir):
    with pytest.raises(UserError, match=r"study: holds no study \(there is no study.json\)"):
        stored_study(workdir)
    claim(tiny.study(), workdir)
    (workdir / RECIPE).unlink()
    with pytest.raises(UserError, match=r"recipe\.json: is missing; restore it, or choose another"):
        stored_study(workdir)
    (workdir / RECIPE).write_text("{")
    with pytest.raises(UserError, match=r"recipe\.json: damaged"):
        claim(tiny.study(), workdir)


def test_a_kill_leaves_no_study_without_its_recipe(workdir, monkeypatch):
    """A folder without study.json holds none, and is free."""
    written = []

    def write(path, data):
        written.append(path.name)

    monkeypatch.setattr(folder, "write_record", write)
    claim(tiny.study(), workdir)
    assert written == [DEFINITIONS, RECIPE, STUDY]


@pytest.mark.parametrize("name", [STUDY, RECIPE, DEFINITIONS])
def test_what_was_edited_is_found(workdir, name):
    """Whatever was changed in it, and also where its seal was taken off."""
    claim(tiny.study(claims=("first_order_change",)), workdir)
    path = workdir / name
    text = path.read_text()
    for old, new in (("1", "2"), ("a", "b"), ('"seal"', '"mark"')):
        changed = text.replace(old, new, 1)
        assert changed != text
        path.write_text(changed)
        read = stored_definitions if name == DEFINITIONS else stored_study
        with pytest.raises(UserError) as caught:
            read(workdir)
        assert f"{name}: " in str(caught.value) and "\n" not in str(caught.value)
    path.write_text(text)
    assert stored_study(workdir) and stored_definitions(workdir)


def test_workers_that_start_at_once_lose_nothing_of_each_other(workdir, monkeypatch):
    """Each lists a claim of its own; one writes after the other, and adds to what it finds."""
    names = ("first_order_change", "wide_accumulates", "larger_gains_more")
    fixed = folder.definitions.fixed

    def slowly(stored, claims, begun):
        time.sleep(0.2)  # in which the others read what this one has not written yet
        return fixed(stored, claims, begun)

    monkeypatch.setattr(folder.definitions, "fixed", slowly)
    with ThreadPoolExecutor() as pool:
        done = [pool.submit(claim, tiny.study(claims=(name,)), workdir) for name in names]
        for each in done:
            each.result()
    assert stored_definitions(workdir).keys() == set(names)
    assert stored_study(workdir).claims in {(name,) for name in names}
    assert {path.name for path in workdir.iterdir()} == {DEFINITIONS, RECIPE, STUDY}


def test_of_two_studies_that_start_at_once_one_is_refused(workdir, monkeypatch):
    fixed = folder.definitions.fixed
    monkeypatch.setattr(folder.definitions, "fixed", lambda *own: time.sleep(0.2) or fixed(*own))
    with ThreadPoolExecutor() as pool:
        done = [pool.submit(claim, tiny.study(name=name), workdir) for name in "ab"]
    failed = [each.exception() for each in done if each.exception()]
    assert len(failed) == 1 and "holds another study: name: " in str(failed[0])


def test_what_is_there_already_is_not_written_again(workdir):
    """A worker that joins leaves the files that others are reading; a damaged one is mended."""
    claim(tiny.study(), workdir)
    before = {path.name: path.stat().mtime for path in workdir.iterdir()}
    claim(tiny.study(), workdir)
    assert {path.name: path.stat().mtime for path in workdir.iterdir()} == before
    (workdir / STUDY).write_text("{")
    claim(tiny.study(), workdir)
    assert stored_study(workdir) == tiny.study()


def test_who_does_not_come_to_an_end_is_named(workdir, monkeypatch):
    monkeypatch.setattr(folder, "_PATIENCE", 0.2)
    with Lock(workdir), pytest.raises(Held, match=r"study: is being written by process \d+ on"):
        claim(tiny.study(), workdir)
    assert not (workdir / STUDY).exists()
