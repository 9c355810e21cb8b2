"""Panels over the size of a student."""

import numpy as np
import xarray as xr
from drawn import marks
from matplotlib.figure import Figure

from rare_retention.report.figures import sizes


def test_lines_stand_side_by_side_about_the_places_of_the_sizes():
    left, middle, right = (sizes.places(4, index, 3) for index in range(3))
    np.testing.assert_allclose(middle, [0, 1, 2, 3])
    np.testing.assert_allclose(middle - left, right - middle)
    assert (left < right).all() and (right - left).max() < 0.5
    np.testing.assert_allclose(sizes.places(2, 0, 1), [0, 1])


def test_marks_are_means_and_bars_go_from_least_to_greatest():
    values = xr.DataArray(
        [[[1.0, 2.0], [3.0, 6.0]], [[5.0, 5.0], [5.0, 5.0]]],
        dims=("size", "stream", "initialisation"),
        coords={"size": [2, 8]},
    )
    (axes,) = (panel := Figure()).subplots(1, 1, squeeze=False)[0]
    sizes.marks(axes, values, "black", "one", index=1, count=2)
    assert panel.axes == [axes]
    np.testing.assert_allclose(marks(axes, "one").get_ydata(), [3, 5])
    np.testing.assert_allclose(marks(axes, "one").get_xdata(), sizes.places(2, 1, 2))
    _, _, (bars,) = axes.containers[0].lines
    np.testing.assert_allclose(bars.get_segments()[0][:, 1], [1, 6])


def test_each_size_is_named_until_there_is_no_room():
    for count, shown in ((3, [2, 4, 8]), (10, [2, 8, 32, 128, 512])):
        axes = Figure().subplots()
        sizes.name_sizes(axes, {2**n: f"N = {2**n}" for n in range(1, count + 1)})
        assert [text.get_text() for text in axes.get_xticklabels()] == [str(n) for n in shown]
        assert axes.get_xlim() == (-0.5, count - 0.5)
