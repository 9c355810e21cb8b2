"""What the scaling law's figure shows, beyond what holds for every figure."""

import made_scaling as made
import numpy as np

from rare_retention.evidence import scaling_fit
from rare_retention.evidence.scaling_points import read_results
from rare_retention.report.figures import scaling as figure
from rare_retention.theory.scaling import compute


def lines(panel, label):
    return [line for line in panel.get_lines() if line.get_label() == label]


def bars(panel):
    """Points and ends of the error bars of each size."""
    return [
        (drawn.lines[0].get_xydata(), np.array(drawn.lines[2][0].get_segments())[..., 1])
        for drawn in panel.containers
    ]


def test_points_are_means_of_equal_runs_against_compute():
    results = made.ladder(streams=3)
    left, _ = figure.scaling_law(results).axes
    text = read_results(results)[0]
    drawn = bars(left)
    assert len(drawn) == len(made.SIZES)
    for size, (marks, ends) in zip(made.SIZES.values(), drawn, strict=True):
        own = text.parameters == size
        for tokens, mark, end in zip(np.unique(text.tokens), marks, ends, strict=True):
            loss = text.loss[own & (text.tokens == tokens)]
            np.testing.assert_allclose(mark, (compute(size, tokens), loss.mean()))
            np.testing.assert_allclose(end, (loss.min(), loss.max()))


def test_the_frontier_is_the_lower_envelope_of_the_drawn_sizes():
    left, _ = figure.scaling_law(made.ladder()).axes
    (frontier,) = lines(left, "frontier")
    flops, loss = frontier.get_data()
    laws = [line for line in left.get_lines() if len(line.get_xdata()) == len(flops)]
    for law in laws:
        if law is not frontier:
            x, y = law.get_data()
            inside = (flops > x[0]) & (flops < x[-1])
            assert np.all(np.interp(np.log(flops[inside]), np.log(x), y) > loss[inside] - 1e-3)
    assert len(laws) == len(made.SIZES) + 1


def test_limits_are_those_of_the_fitted_law():
    results = made.ladder()
    _, right = figure.scaling_law(results).axes
    fitted = scaling_fit.fit(read_results(results)[0])
    for name in ("infinite_data_loss", "compute_optimal_loss"):
        (line,) = lines(right, name)
        x, y = line.get_data()
        np.testing.assert_allclose(y, getattr(fitted.law, name)(x))
    (lowest,) = lines(right, "lowest measured")
    assert lowest.get_xdata().tolist() == list(made.SIZES.values())
    assert len(right.collections) == 2  # the bands


def test_points_that_determine_no_law_are_drawn_without_one():
    drawn = figure.scaling_law(made.ladder(lengths=(1000,)))
    left, right = drawn.axes
    assert left.get_title(loc="left") == "text (no law fitted)"
    assert len(bars(left)) == len(made.SIZES)
    assert not lines(left, "frontier") and not lines(right, "infinite_data_loss")


def test_each_point_of_a_grid_has_a_row():
    results = made.ladder().expand_dims(per_token=[0.1, 0.001]).transpose("stream", "steps", ...)
    drawn = figure.scaling_law(results)
    assert len(drawn.axes) == 4
    assert drawn.axes[2].get_title(loc="left").endswith("= 0.001")
    sizes = [text.get_text() for text in drawn.legends[0].get_texts()]
    assert sizes[-4:] == list(made.SIZES)
