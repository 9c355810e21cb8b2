"""Sizes that are trained apart learn what they learn together, in every setting."""

import numpy as np
import pytest
import tiny
import tiny_text
from etils import epath

from rare_retention.config import override
from rare_retention.experiment import Exposure, Measurement, Run
from rare_retention.mesh import MeshShape
from rare_retention.optimizer import Optimizer
from rare_retention.settings.competition import Competition
from rare_retention.study.axes import Also, Axis
from rare_retention.study.claims import judge
from rare_retention.study.execute import execute
from rare_retention.study.grid import Study
from rare_retention.study.results import gather

STEPS = 50


def regression():
    return tiny.study(run__steps=STEPS)


def competition():
    run = Run(
        setting=Competition(neurons=(1, 2), initialisations=2),
        exposure=Exposure(placement="even"),
        optimizer=Optimizer(method="sgd", schedule="constant", peak=0.02, clip=None),
        batch=8,
        steps=STEPS,
        measure=Measurement(every=25),
        mesh=MeshShape(data=1),
    )
    return Study(name="competition", run=run, claims=("first_order_change",))


def language():
    run = tiny_text.run(steps=STEPS, checkpoints__every=STEPS)
    return Study(name="text", run=run, claims=("learns_text",))


@pytest.mark.parametrize("made", [regression, competition, language])
def test_apart_is_as_together(made, tmp_path):
    together = made()
    apart = override(together, {"apart": True})
    found = []
    for study, units in ((together, 1), (apart, 2)):
        workdir = epath.Path(tmp_path) / str(study.apart)
        assert execute(study, workdir) == (units, {}, False)
        found.append(gather(study, workdir))
    one, two = found
    assert one.sizes == two.sizes and set(one.variables) == set(two.variables)
    assert one.finished.all() and two.finished.all()
    for name in {"size", "width", "parameters", "step", "task", "watch"} & set(one.coords):
        assert one[name].equals(two[name]), name
    for name, values in one.data_vars.items():
        two_values = two[name].transpose(*values.dims)
        if "block" in values.dims:
            two_values = two_values.sel(block=values["block"])
        assert two_values.shape == values.shape and two_values.attrs == values.attrs, name
        scale = np.nanmax(np.abs(values.to_numpy()), initial=1e-6)
        np.testing.assert_allclose(
            two_values.to_numpy(), values.to_numpy(), atol=1e-4 * scale, err_msg=str(name)
        )
    verdicts = [[verdict.verdict for verdict in judge(r, together.claims)] for r in found]
    assert verdicts[0] == verdicts[1]


def test_groups_of_sizes_with_their_own_rates_join_by_size(tmp_path):
    axis = Axis(
        field="setting.widths",
        values=((8,), (2, 4)),
        also=(Also(field="optimizer.peak", values=(0.0001, 0.01)),),
    )
    study = Study(name="x", run=tiny.run(steps=16), grid=(axis,))
    assert execute(study, epath.Path(tmp_path)) == (2, {}, False)
    results = gather(study, epath.Path(tmp_path))
    assert results["size"].to_numpy().tolist() == [2, 4, 8]
    assert "widths" not in results.dims
    assert np.isfinite(results.loss.sel(step=16)).all()
    moved = abs(results.signal.sel(step=16) - results.signal.sel(step=0)).mean(
        ("stream", "initialisation", "task")
    )
    assert moved.sel(size=8) < 0.1 * moved.sel(size=2)


def test_sizes_of_which_no_unit_was_measured_are_left_out(tmp_path):
    study = tiny.study(apart=True, run__steps=16)
    outcome = execute(study, epath.Path(tmp_path), only="stream=0,size=8")
    assert outcome == (1, {}, False)
    results = gather(study, epath.Path(tmp_path))
    assert results["size"].to_numpy().tolist() == [8]
    assert results.finished.dims == ("stream", "size") and results.finished.all()
