"""Levels along branches, over the steps since they went on."""

import made_branches
import numpy as np
import pytest
from drawn import entries, titles

from rare_retention.evidence import branches as evidence
from rare_retention.report.figures import FIGURES


@pytest.fixture(scope="module")
def results():
    return made_branches.results(shift=20)


def curves(axes):
    """Lines that are drawn, but for those across the panel."""
    return [line.get_xydata() for line in axes.lines if len(line.get_xdata()) > 2]


def test_each_branch_has_a_panel_and_each_size_a_curve(results):
    figure = FIGURES["branches"].draw(results)
    assert titles(figure) == list(evidence.changed(results))
    quiet = figure.axes[titles(figure).index("quiet")]
    level = evidence.level(results, "quiet").mean(("stream", "initialisation"))
    drawn = curves(quiet)
    assert len(drawn) == results.sizes["size"]
    for curve, size in zip(drawn, results["size"], strict=True):
        expected = level.sel(size=size)
        np.testing.assert_allclose(curve, np.stack([expected["step"], expected], -1), rtol=1e-6)
    assert entries(figure) == ["N = 8", "N = 9"]


def test_half_of_the_start_is_marked(results):
    figure = FIGURES["branches"].draw(results)
    quiet = figure.axes[titles(figure).index("quiet")]
    marked = {round(line.get_ydata()[0], 6) for line in quiet.lines if len(line.get_xdata()) == 2}
    assert marked == {0.0, 0.45}
    shown = figure.axes[titles(figure).index("shown")]
    assert [line.get_ydata()[0] for line in shown.lines if len(line.get_xdata()) == 2] == [0]


def test_branches_that_have_not_begun_leave_the_others(results):
    """One stream of the quiet branch, and all of the protected one."""
    gone = (results["branch"] == "quiet") & (results["finished"]["stream"] == 1)
    gone = gone | (results["branch"] == "protected")
    signal = results["signal"].where(~gone).transpose(*results["signal"].dims)
    lost = results.assign(signal=signal, turn=results["turn"].where(~gone))
    figure = FIGURES["branches"].draw(lost)
    panels = {name: figure.axes[titles(figure).index(name)] for name in ("quiet", "protected")}
    level = evidence.level(results, "quiet").isel(stream=[0, 2], size=0)
    expected = level.mean(("stream", "initialisation"))
    np.testing.assert_allclose(curves(panels["quiet"])[0][:, 1], expected, rtol=1e-6)
    assert curves(panels["protected"]) == []


def test_a_missing_student_does_not_count(results, lose):
    lost = lose(results.copy(deep=True), stream=0, size=9, initialisation=0)
    quiet = (
        FIGURES["branches"].draw(lost).axes[titles(FIGURES["branches"].draw(lost)).index("quiet")]
    )
    level = evidence.level(lost, "quiet").sel(size=9).isel(stream=[1, 2])
    expected = level.mean(("stream", "initialisation"))
    np.testing.assert_allclose(curves(quiet)[1][:, 1], expected, rtol=1e-6)
