"""Injections: a whole run, and one cycle of it."""

import made_exposures
import made_injection
import numpy as np
import xarray as xr
from drawn import UNITS, entries, lines, rare

from rare_retention.report.figures import FIGURES, data

SMALL = "4M"


def test_injection_has_a_whole_run_and_a_cycle_for_each_gap(study):
    figure = FIGURES["injection"].draw(study("injection"))
    whole, zoom = figure.axes[:2], figure.axes[2:]
    assert [panel.get_title(loc="left") for panel in whole] == ["gap G = 16", "gap G = 64"]
    assert len(zoom) == 2
    assert all("log scale" in panel.get_xlabel() for panel in zoom)


def test_injection_draws_the_rare_signal_and_marks_each_injection(study):
    results = study("injection")
    panel = FIGURES["injection"].draw(results).axes[1]
    point = results.sel(gap=64).dropna("step", how="all", subset=["signal"])
    (line,) = lines(panel, "16")
    assert line.get_xdata().tolist() == point["step"].values.tolist()
    np.testing.assert_allclose(line.get_ydata(), rare(point, 16), atol=1e-5)
    (ticks,) = lines(panel, "injection")
    assert ticks.get_xdata().tolist() == list(range(64, 641, 64))


def test_injection_zooms_on_one_cycle_from_just_before_it(study):
    results = study("injection")
    panel = FIGURES["injection"].draw(results).axes[3]
    (line,) = lines(panel, "4")
    start = int(panel.get_xlabel().split()[2])
    assert (start + 1) % 64 == 0
    offsets = line.get_xdata()
    assert (offsets[0], offsets[1], offsets[-1]) == (0, 1, 64)
    value = rare(results.sel(gap=64), 4)
    expected = value.sel(step=start + offsets) - value.sel(step=start)
    np.testing.assert_allclose(line.get_ydata(), expected, atol=1e-5)
    assert line.get_ydata().max() > 0.01  # gain
    assert line.get_ydata()[-1] < line.get_ydata().max() / 2  # decay


def test_injections_of_streams_at_steps_of_their_own_are_counted_too(made):
    """Measured in full, the second stream is exposed 5 steps later: no tick is shared."""
    results = made.retention(gaps=(64,), every=1).isel(gap=0)
    later = results["exposure_step"] + 5 * results["stream"]
    results = results.assign(exposure_step=later.where(later <= 640))
    whole, zoom = FIGURES["injection"].draw(results).axes
    assert whole.get_title(loc="left") == "gap G = 64 (9 to 10 injections)"
    assert not lines(whole, "injection")
    assert zoom.get_xlabel() == "steps since just before (log scale)"
    (line,) = lines(zoom, "4")
    point = results["signal"].sel(size=4).isel(task=-1).mean("initialisation") / (1 - 4 / 128)
    each = [point.isel(stream=i).sel(step=127 + 5 * i + line.get_xdata()) for i in (0, 1)]
    expected = np.mean([(own - own[0]).values for own in each], 0)
    np.testing.assert_allclose(line.get_ydata(), expected, atol=1e-5)


def test_too_many_injections_are_counted_instead_of_marked(made):
    results = made.retention(gaps=(4,), total=400)
    panel = FIGURES["injection"].draw(results).axes[0]
    assert panel.get_title(loc="left") == "gap G = 4 (100 injections)"
    assert not lines(panel, "injection")


def test_a_run_without_gaps_has_no_cycle(made):
    results = made.retention(gaps=(16,)).isel(gap=0).assign_coords(gap=1)
    results = results.drop_dims("exposure").pipe(made_exposures.with_bursts)
    panel = FIGURES["injection"].draw(results).axes[1]
    assert [text.get_text() for text in panel.texts] == ["no cycle measured"]


def test_more_than_three_gaps_take_another_row(made):
    results = made.retention(made.Shape(widths=(4,)), gaps=(8, 16, 32, 64), total=256)
    figure = FIGURES["injection"].draw(results)
    titles = [panel.get_title(loc="left") for panel in figure.axes]
    assert len(titles) == 8
    assert titles[:2] + titles[4:6] == [f"gap G = {gap}" for gap in (8, 16, 32, 64)]


def test_injection_shows_the_loss_of_an_injected_task():
    results = made_injection.study()
    figure = FIGURES["injection"].draw(results)
    assert figure.get_suptitle() == "Task loss under injections"
    assert figure.axes[0].get_ylabel() == "1 - loss / loss of guessing"
    assert {"4M", "20M", "80M"} < set(entries(figure))
    (line,) = lines(figure.axes[1], SMALL)
    loss = results["loss"].sel(gap=100, size=SMALL, task="comparison").dropna("step", how="all")
    np.testing.assert_allclose(line.get_ydata(), 1 - loss.mean(UNITS) / np.log(2), atol=1e-6)


def test_a_signal_is_shown_as_it_was(study):
    results = study("injection")
    assert data.rare_kind(results) == "signal"
    panel = FIGURES["injection"].draw(results).axes[0]
    assert panel.get_ylabel() == data.RARE_VALUES["signal"]


def test_a_control_is_a_dotted_line_in_the_panel_of_its_run(made):
    real = made.retention(gaps=(16, 64))
    never = real.assign(
        signal=real["signal"] * 0 + 0.25,
        exposure_step=real["exposure_step"] * np.nan,
    )
    arms = xr.concat([real, never], "left_out").assign_coords(left_out=["()", "(-1,)"])
    arms["finished"] = real["finished"].expand_dims(left_out=arms["left_out"])
    figure = FIGURES["injection"].draw(arms)
    assert [panel.get_title(loc="left") for panel in figure.axes[:2]] == [
        "gap G = 16", "gap G = 64"
    ]  # fmt: skip
    for panel in figure.axes[:2]:
        dotted = [line for line in panel.lines if line.get_linestyle() == ":"]
        assert len(dotted) == real.sizes["size"]
        for line, width in zip(dotted, real["size"].to_numpy(), strict=True):
            expected = (0.25 - width / 128) / (1 - width / 128)
            np.testing.assert_allclose(line.get_ydata(), expected, rtol=1e-5)
    assert len(figure.axes) == 4
    alone = FIGURES["injection"].draw(arms.isel(left_out=[1]))  # nothing else has begun
    assert len(alone.axes) == 4
    assert alone.axes[0].get_title(loc="left") == "left out = (-1,), gap G = 16"
