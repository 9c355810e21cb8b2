"""Units alike, and the search for a choice that fits; compilers are asked in test_compiler.py."""

import dataclasses

import pytest
import tiny
import tiny_text
from made_plans import compiled

from rare_retention.config import from_dict, override
from rare_retention.errors import ConfigError
from rare_retention.experiment import Run
from rare_retention.planning import planner
from rare_retention.planning.memory import Memory
from rare_retention.planning.planner import Asked, Group, book, call_length, groups
from rare_retention.planning.topology import CHIPS, parse
from rare_retention.study.axes import Axis
from rare_retention.study.grid import Study
from rare_retention.train import pipeline

RUN = tiny_text.run(mesh__data=-1)
GROUP = Group("stream=0", RUN, 3)
FOUR = parse("h100:4")
CPU = parse("cpu:4")


def test_units_that_differ_in_numbers_share_programs_and_sizes_do_not():
    rates = Axis(field="setting.tasks[1].per_token", values=(1 / 128, 1 / 256))
    study = Study(name="x", run=RUN, grid=(rates,), streams=2, apart=True)
    found = groups(study)
    assert [own.units for own in found] == [4, 4]
    assert [own.run.setting.sizes for own in found] == [(name,) for name in RUN.setting.sizes]
    (one,) = groups(study, found[1].unit)
    assert (one.unit, one.units) == (found[1].unit, 1)
    with pytest.raises(ConfigError, match="--unit=x: no such unit"):
        groups(study, "x")


def test_more_students_or_steps_are_other_programs():
    study = Study(name="x", run=RUN, grid=(Axis(field="batch", values=(8, 16)),))
    assert len(groups(study)) == 2


def test_work_has_the_bytes_and_operations_of_a_unit():
    own = planner.work(GROUP, FOUR)
    assert (own.steps, own.units, own.sizes) == (8, 3, RUN.setting.sizes)
    assert own.call == 2  # between measurements
    assert own.walked == pytest.approx(own.flops, rel=0.02)
    assert own.checkpoint > own.snapshots == 0
    kept = planner.work(GROUP._replace(run=override(RUN, {"snapshots.every": 4})), FOUR)
    assert kept.snapshots > 0


def test_a_call_is_as_long_as_the_memory_of_a_host_allows(monkeypatch):
    run = override(RUN, {"measure.every": 8})
    assert call_length(run, FOUR) == 8
    row = 16 * 2 + 2 * 4  # tokens and tasks
    monkeypatch.setattr(planner, "chunk_length", lambda *args: pipeline.chunk_length(*args, 2048))
    assert call_length(run, FOUR) == 4  # of 6 that fit, equal pieces
    assert row * 8 * 6 <= 2048 < row * 8 * 7


@pytest.fixture
def compiler(monkeypatch):
    """A compiler that knows one rule, as arithmetic does, and what it was asked."""
    asked = []

    def need(run):
        saved = {"none": 1, "dots": 1, "attention": 1, "full": 2}[run.setting.compute.remat]
        return 80 * 2**30 // run.accumulate // saved

    def kept(request, topology, limit):
        run = from_dict(Run, request["run"])
        asked.append((run.mesh.fsdp, run.accumulate, run.setting.compute.remat))
        return compiled(need(run), 25 * 2**30)

    monkeypatch.setattr(planner, "kept", kept)
    monkeypatch.setattr(planner.estimate, "memory", lambda run, _: Memory(need(run), ()))
    monkeypatch.setattr(planner, "step_flops", lambda run: 1.0)
    return asked


def test_what_fits_as_it_is_configured_is_left_alone(compiler):
    run = override(RUN, {"accumulate": 2, "setting.compute.remat": "full"})
    found = book(GROUP._replace(run=run), CPU, Asked())
    assert found.fits and found.flags == ()
    assert compiler == [(1, 2, "full")]


def test_what_does_not_fit_is_tried_otherwise_in_the_order_of_its_cost(compiler):
    said = []
    found = book(GROUP, CPU, Asked(say=said.append))
    assert found.fits
    assert (found.choice["accumulate"], found.choice["remat"]) == (2, "full")
    assert set(found.flags) >= {
        "--config.run.accumulate=2",
        "--config.run.setting.compute.remat=full",
    }
    assert compiler[0] == (1, 1, "none")
    assert len(compiler) == len(set(compiler)) == len(said)  # none is asked twice
    assert len(compiler) < 4  # and what is surely too much not at all
    assert "does not fit" in said[0] and "fits" in said[-1]


def test_a_mesh_is_not_compiled_where_one_like_it_took_a_little_too_much(monkeypatch, compiler):
    """The compiler says a third more than arithmetic, and 1.056 of what there is."""

    def said(request, topology, limit):
        run = from_dict(Run, request["run"])
        compiler.append((run.accumulate, run.setting.compute.remat))
        return compiled(int(26.4 * 2**30) // run.accumulate, 25 * 2**30)

    monkeypatch.setattr(planner, "kept", said)
    arithmetic = planner.estimate.memory
    monkeypatch.setattr(
        planner.estimate, "memory", lambda run, on: Memory(arithmetic(run, on).bytes // 4, ())
    )
    found = book(GROUP, CPU, Asked(cheapest=True))
    assert found.fits and compiler[0] == (1, "none")
    assert len(compiler) == len(set(compiler))


def test_a_search_ends(compiler):
    found = book(GROUP, CPU, Asked(tries=1))
    assert not found.fits
    assert len(compiler) == 1 + 1 + 1  # as configured, one try, and what is shown
    assert found.json()["bytes_per_device"] == 80 * 2**30


def test_a_config_that_cannot_be_on_the_devices_is_refused_unless_others_are_looked_for(compiler):
    group = GROUP._replace(run=override(RUN, {"mesh.data": 1, "mesh.model": 4}))
    with pytest.raises(ConfigError, match=r"run\.mesh\.model: weights have a dimension of 2"):
        book(group, CPU, Asked())


def test_each_program_is_compiled_by_itself_where_that_is_asked(compiler):
    run = override(RUN, {"accumulate": 2, "setting.compute.remat": "full"})
    found = book(GROUP._replace(run=run), CPU, Asked(every=True))
    assert list(found.compiled) == ["run", "advance", "measure"]


def test_gpus_are_planned_by_arithmetic_with_room_to_spare(monkeypatch):
    found = book(GROUP, FOUR, Asked())
    assert found.arithmetic and found.fits and found.json()["by"] == "arithmetic"
    enough = int(found.most.bytes * planner.MARGIN) + 1
    for memory, fits in ((enough, True), (enough - 2, False)):
        monkeypatch.setitem(CHIPS, "h100", FOUR.chip._replace(memory=memory))
        assert found.flags == () and (book(GROUP, FOUR, Asked()).flags == ()) == fits


def test_synthetic_studies_are_planned_too():
    (group,) = groups(tiny.study())
    assert book(group, parse("h100:1"), Asked()).fits


def test_axes_that_are_not_searched_stay_as_they_are():
    run = dataclasses.replace(RUN, mesh=dataclasses.replace(RUN.mesh, model=2))
    assert {own.data * own.fsdp for own in planner.choices.choices(run, FOUR)} == {2}
