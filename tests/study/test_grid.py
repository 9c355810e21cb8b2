import pytest
import tiny
import tiny_text

from rare_retention.config import ConfigError, from_json, to_json
from rare_retention.experiment import Run
from rare_retention.study.axes import Also, Axis
from rare_retention.study.grid import Study, check_flags, check_shapes, unit_named, units


def test_units_take_every_combination_on_every_stream():
    study = tiny.study(
        streams=2,
        grid="({'field': 'exposure.gap', 'values': (4, 8)}, {'field': 'batch', 'values': (32,)})",
    )
    found = units(study)
    assert [unit.name for unit in found] == [
        f"stream={stream},gap={gap},batch=32" for stream in (0, 1) for gap in (4, 8)
    ]
    assert [unit.run.exposure.gap for unit in found] == [4, 8, 4, 8]
    assert [unit.run.stream for unit in found] == [0, 0, 1, 1]
    assert len({unit.run.identity() for unit in found}) == 4


def test_tuples_vary_too():
    axis = Axis(field="setting.tasks.spectrum_exponents", values=((2.0, 2.0), (1.0, 3.0)))
    runs = [unit.run for unit in units(tiny.study().__class__(name="x", grid=(axis,)))]
    assert [run.setting.tasks.spectrum_exponents for run in runs] == [(2.0, 2.0), (1.0, 3.0)]


def test_a_study_survives_json():
    study = tiny.study()
    assert from_json(Study, to_json(study)) == study


def test_identity_is_of_the_recipe_alone():
    run = tiny.run()
    assert tiny.run(steps=96, measure__every=3, snapshots__cycles=0).identity() == run.identity()
    assert tiny.run(stream=1).identity() != run.identity()
    assert tiny.run(optimizer__peak=0.5).identity() != run.identity()


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        (
            (Axis(field="stream", values=(1,)),),
            r"grid\[0\].field: streams are numbered by the study",
        ),
        (
            (Axis(field="setting.tasks.count", values=(2,), dimension="step"),),
            r"grid\[0\].field: dimension 'step' is taken; name another as grid\[0\].dimension",
        ),
        (
            (Axis(field="batch", values=(8,)), Axis(field="batch", values=(9,), dimension="b")),
            r"grid\[0\].field: batch is set twice by the grid",
        ),
        (
            (Axis(field="batch", values=(8,)), Axis(field="steps", values=())),
            r"grid\[1\].values: expected at least one",
        ),
        (
            (Axis(field="setting.widths", values=(8,)),),
            r"grid\[0\].values: expected tuples of sizes",
        ),
    ],
)
def test_grids_that_cannot_be(grid, message):
    with pytest.raises(ConfigError, match=message):
        Study(name="x", run=Run(), grid=grid)


def test_runs_of_another_shape_are_refused():
    axis = Axis(field="setting.tasks.count", values=(3, 4))
    study = Study(name="x", run=tiny.run(), grid=(axis,))
    with pytest.raises(ConfigError, match=r"grid: setting.tasks.count: runs differ in tasks or"):
        check_shapes(study)


def test_tuples_of_whole_numbers_vary():
    axis = Axis(field="exposure.withheld", values=((-1,), (-2, -1)))
    runs = [unit.run for unit in units(Study(name="x", run=tiny.run(), grid=(axis,)))]
    assert [run.exposure.withheld for run in runs] == [(-1,), (-2, -1)]


def test_an_unknown_field_of_the_grid_is_named():
    study = Study(name="x", grid=(Axis(field="exposure.gpa", values=(1,)),))
    with pytest.raises(ConfigError, match=r"exposure.gpa: no such field; did you mean"):
        units(study)


def test_an_axis_sets_several_fields_together():
    axis = Axis(
        field="steps",
        values=(100, 400),
        also=(
            Also(field="optimizer.horizon", values=(200, 800)),
            Also(field="optimizer.schedule", values=("cosine", "cosine")),
        ),
    )
    runs = [unit.run for unit in units(Study(name="x", run=tiny.run(), grid=(axis,)))]
    assert [(run.steps, run.optimizer.horizon) for run in runs] == [(100, 200), (400, 800)]


def test_another_first_stream_draws_all_anew():
    study = Study(name="x", run=tiny.run(), streams=2, first_stream=1000)
    assert [unit.name for unit in units(study)] == ["stream=1000", "stream=1001"]
    assert [unit.run.stream for unit in units(study)] == study.dimensions["stream"] == [1000, 1001]
    seeds = [unit.run.seeds for unit in units(study)] + [tiny.run(stream=0).seeds]
    assert len({seed.batches for seed in seeds}) == len({seed.weights for seed in seeds}) == 3


ARMS = Axis(
    field="optimizer.method",
    values=("sgd", "sgd", "adamw", "adamw", "muon"),
    also=(
        Also(field="optimizer.clip", values=(1.0, None, 1.0, 1.0, 1.0)),
        Also(field="optimizer.beta2", values=(0.999, 0.999, 0.95, 0.999, 0.999)),
        Also(field="optimizer.peak", values=(0.1, 0.1, 0.005, 0.005, 0.01)),
    ),
    dimension="optimizer",
    named=("sgd clipped", "sgd", "adamw 0.95", "adamw 0.999", "muon"),
)


def test_arms_that_share_a_value_have_names():
    study = Study(name="x", run=tiny.run(), grid=(ARMS,))
    found = units(study)
    optimizers = [unit.run.optimizer for unit in found]
    assert [(own.method, own.clip, own.beta2, own.peak) for own in optimizers] == [
        ("sgd", 1.0, 0.999, 0.1),
        ("sgd", None, 0.999, 0.1),
        ("adamw", 1.0, 0.95, 0.005),
        ("adamw", 1.0, 0.999, 0.005),
        ("muon", 1.0, 0.999, 0.01),
    ]
    assert len({unit.run.identity() for unit in found}) == 5
    assert study.dimensions["optimizer"] == list(ARMS.named)
    assert [unit.coordinates["optimizer"] for unit in found] == list(ARMS.named)
    assert found[0].name == "stream=0,optimizer=sgd%20clipped"
    assert from_json(Study, to_json(study)) == study
    check_shapes(study)


@pytest.mark.parametrize(
    ("field", "values", "labels", "folders"),
    [
        ("measure.effect", (False, True), [False, True], ["effect=False", "effect=True"]),
        ("optimizer.clip", (None, 0.5), ["None", "0.5"], ["clip=None", "clip=0.5"]),
        ("optimizer.method", ("sgd", "adamw"), ["sgd", "adamw"], ["method=sgd", "method=adamw"]),
    ],
)
def test_booleans_none_and_texts_vary(field, values, labels, folders):
    study = Study(name="x", run=tiny.run(), grid=(Axis(field=field, values=values),))
    found = units(study)
    group, name = field.split(".")
    assert [getattr(getattr(unit.run, group), name) for unit in found] == list(values)
    assert study.dimensions[name] == labels
    assert [unit.name for unit in found] == [f"stream=0,{folder}" for folder in folders]
    assert from_json(Study, to_json(study)) == study


def test_names_are_safe_for_every_file_system():
    texts = ("a/b", "../up", "x" * 300, "ä:*?", "x" * 299 + "y", "e[2] (x)")
    axis = Axis(field="setting.corpus.path", values=texts)
    run = Run(setting=tiny_text.language())
    names = [unit.name for unit in units(Study(name="x", run=run, grid=(axis,)))]
    assert len(set(names)) == len(texts)
    for name in names:
        assert len(name.encode()) <= 255 and not set(name) & set('/\\:*?"<>|[] ') and name.isascii()
    assert names[0] == "stream=0,path=a%2Fb"


def test_sizes_apart_are_units_of_their_own():
    study = tiny.study(apart=True, streams=2, run__optimizer__relative="1.0,0.5")
    found = units(study)
    assert [unit.name for unit in found] == [
        f"stream={stream},size={size}" for stream in (0, 1) for size in (2, 8)
    ]
    assert [unit.run.setting.widths for unit in found] == [(2,), (8,)] * 2
    assert [unit.run.optimizer.relative for unit in found] == [(1.0,), (0.5,)] * 2
    assert all(unit.coordinates == {"stream": unit.run.stream} for unit in found)
    check_shapes(study)


def test_factors_of_sizes_declared_out_of_order_stay_with_their_sizes():
    study = tiny.study(
        apart=True, run__setting__widths="(8, 2)", run__optimizer__relative="1.0,0.5"
    )
    rates = {u.run.setting.widths: u.run.optimizer.relative for u in units(study)}
    assert rates == {(2,): (1.0,), (8,): (0.5,)}  # given from small to large


def test_a_grid_over_sizes_gives_each_group_its_own_rate():
    axis = Axis(
        field="setting.widths",
        values=((2,), (4, 8)),
        also=(Also(field="optimizer.peak", values=(0.02, 0.01)),),
    )
    study = Study(name="x", run=tiny.run(), grid=(axis,))
    found = units(study)
    assert [unit.name for unit in found] == ["stream=0,size=2", "stream=0,size=4_8"]
    assert [unit.run.optimizer.peak for unit in found] == [0.02, 0.01]
    assert study.dimensions == {"stream": [0]}
    check_shapes(study)


def test_a_unit_is_found_by_name():
    study = tiny.study(streams=2)
    assert unit_named(study, "stream=1").run.stream == 1
    with pytest.raises(ConfigError, match=r"--unit=stream=2: no such unit; --units lists them all"):
        unit_named(study, "stream=2")


@pytest.mark.parametrize(
    "flag", ["run.exposure.gap", "run.exposure", "run.optimizer.horizon", "run.steps"]
)
def test_flags_on_fields_of_the_grid_are_refused(flag):
    grid = (
        Axis(field="exposure.gap", values=(4, 8)),
        Axis(field="steps", values=(8, 16), also=(Also(field="optimizer.horizon", values=(1, 2)),)),
    )
    study = Study(name="x", run=tiny.run(), grid=grid)
    with pytest.raises(ConfigError, match=r"the study's grid sets .*--config.grid\[[01]\]"):
        check_flags(study, [flag])
    check_flags(study, ["run.exposure.placement", "run.batch", "grid[0].values", "streams"])
