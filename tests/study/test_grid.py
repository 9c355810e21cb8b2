import pytest
import tiny

from rare_retention.config import ConfigError, from_json, to_json
from rare_retention.experiment import Run
from rare_retention.study.grid import Axis, Study, cells, check_shapes


def test_cells_take_every_combination_on_every_stream():
    study = tiny.study(
        streams=2,
        grid="({'field': 'exposure.gap', 'values': (4, 8)}, {'field': 'batch', 'values': (32,)})",
    )
    found = list(cells(study))
    assert [cell.name for cell in found] == [
        f"stream={stream},gap={gap},batch=32" for stream in (0, 1) for gap in (4, 8)
    ]
    assert [cell.run.exposure.gap for cell in found] == [4, 8, 4, 8]
    assert [cell.run.stream for cell in found] == [0, 0, 1, 1]
    assert len({cell.run.identity() for cell in found}) == 4


def test_tuples_vary_too():
    axis = Axis(field="setting.tasks.spectrum_exponents", values=((2.0, 2.0), (1.0, 3.0)))
    runs = [cell.run for cell in cells(tiny.study().__class__(name="x", grid=(axis,)))]
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
        ((Axis(field="exposure.gap", values=()),), r"grid\[0\].values: expected at least one"),
        ((Axis(field="batch", values=(8, 8)),), r"grid\[0\].values: .* repeats a value"),
        ((Axis(field="stream", values=(1,)),), r"grid\[0\].field: dimension 'stream' is taken"),
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
    runs = [cell.run for cell in cells(Study(name="x", run=tiny.run(), grid=(axis,)))]
    assert [run.exposure.withheld for run in runs] == [(-1,), (-2, -1)]


def test_an_unknown_field_of_the_grid_is_named():
    study = Study(name="x", grid=(Axis(field="exposure.gpa", values=(1,)),))
    with pytest.raises(ConfigError, match=r"exposure.gpa: no such field; did you mean"):
        list(cells(study))
