"""What figures read from results: grid points, means and what is missing."""

import io

import made_arms
import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

from rare_retention.report.figures import FIGURES, data


def test_points_are_labelled_with_the_papers_symbols(study):
    assert [name for name, _ in data.points(study("phase_diagram"))] == ["β = 1", "β = 2"]
    assert [name for name, _ in data.points(study("injection"))] == ["gap G = 16", "gap G = 64"]
    assert [name for name, _ in data.points(study("rank_one"))] == [""]


def test_a_kept_dimension_stays_within_a_point(study):
    ((name, point),) = data.points(study("injection"), keep=("gap",))
    assert name == ""
    assert point.sizes["gap"] == 2


def test_an_unknown_dimension_is_labelled_by_its_own_name(study):
    results = study("phase_diagram").rename(prior_exponent="weight_decay")
    assert [name for name, _ in data.points(results)] == ["weight decay = 1", "weight decay = 2"]


def test_frequencies_are_shown_in_three_digits(study):
    results = study("phase_diagram").rename(prior_exponent="per_token")
    results = results.assign_coords(per_token=[1 / 1024, 2.4e-5])
    names = [name for name, _ in data.points(results)]
    assert names == ["frequency f = 0.000977", "frequency f = 2.4e-05"]


def test_widths_are_called_n_and_sizes_by_their_names(study):
    assert data.names(study("injection")) == {4: "N = 4", 16: "N = 16", 48: "N = 48"}
    models = study("task_text")
    assert data.names(models) == {"4M": "4M", "20M": "20M", "80M": "80M"}
    counts = {4_000_000: "4M", 20_000_000: "20M", 80_000_000: "80M"}
    assert data.names_by_parameters(models) == counts


def test_a_point_that_was_never_measured_is_left_out(study, lose):
    results = lose(study("injection"), gap=64)
    assert [name for name, _ in data.points(results)] == ["gap G = 16"]


def test_tasks_that_a_point_lacks_are_left_out(study):
    results = study("phase_diagram")
    results["frequency"][0, 5:] = np.nan
    assert [point.sizes["task"] for _, point in data.points(results)] == [5, 8]


def test_shams_are_no_tasks_of_a_mixture(study):
    """A task of frequency 0 is drawn with those that are shown, but not as a task of theory."""
    results = study("phase_diagram")
    results["frequency"][:, 7] = 0.0
    assert [point.sizes["task"] for _, point in data.points(results)] == [8, 8]
    assert [(name, point.sizes["task"]) for name, point in data.mixtures(results)] == [
        ("β = 1", 7),
        ("β = 2", 7),
    ]


@pytest.mark.parametrize(
    "name",
    [
        "phase_diagram",
        "observed_vs_predicted",
        "complexity",
        "rank_one",
        "residual_axis",
        "long_horizon",
    ],
)
def test_figures_of_theory_leave_shams_out(study, name):
    """The last task is one: what is drawn is what is drawn of a study without it."""
    results = study(name)
    results["frequency"][{"task": -1}] = 0.0
    results["frequency"] = results["frequency"] / results["frequency"].sum("task")
    results = results.assign_coords(watch=results["task"].to_numpy()[[-2]])
    alone = results.isel(task=slice(-1))
    both = [FIGURES[name].draw(each) for each in (results, alone)]
    drawn = [[line.get_xydata() for axes in f.axes for line in axes.lines] for f in both]
    assert len(drawn[0]) == len(drawn[1]) > 0 or name == "phase_diagram"
    for first, second in zip(*drawn, strict=True):
        np.testing.assert_array_equal(first, second)
    titles = [[axes.get_title(loc="left") for axes in f.axes] for f in both]
    limits = [[axes.get_ylim() for axes in f.axes] for f in both]
    assert titles[0] == titles[1] and limits[0] == limits[1]


def test_spread_leaves_missing_students_out():
    values = xr.DataArray([[1.0, np.nan], [2.0, 6.0]], dims=("stream", "initialisation"))
    assert [float(part) for part in data.spread(values)] == [3.0, 1.0, 6.0]


def test_bars_are_distances_from_the_mean():
    values = xr.DataArray([[1.0, 5.0], [6.0, 9.0], [2.0, 7.0]], dims=("stream", "task"))
    marks = data.at(data.spread(values))
    assert marks.mean.tolist() == [3, 7]
    assert marks.bars().tolist() == [[2, 2], [3, 2]]


def test_a_student_that_diverged_has_no_end(study):
    results = study("phase_diagram")
    last = int(results["step"][-1])
    results["loss"].loc[{"stream": 1, "size": 8, "initialisation": 0, "step": last}] = np.nan
    ended = data.ended(results)
    assert not ended.sel(stream=1, size=8, initialisation=0).any()
    assert int((~ended).sum()) == 2  # one at each prior exponent


def test_each_grid_point_ends_at_its_own_last_step(study):
    results = study("injection")
    assert (results["loss"].isel(step=-1).isnull().any()) or results.sizes["step"] > 20
    results["loss"].loc[{"gap": 16, "step": results["step"] > 300}] = np.nan
    assert data.ended(results).all()


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ({}, "Behind each point: 4 students (2 streams × 2 initialisations)."),
        (
            {"stream": 1, "size": 8},
            "Behind each point: 2 to 4 students (2 streams × 2 initialisations). "
            "4 of 48 students missing.",
        ),
    ],
)
def test_a_caption_says_how_many_students_are_behind_each_point(study, lose, place, text):
    results = lose(study("phase_diagram"), **place) if place else study("phase_diagram")
    assert data.behind(results) == text


def test_one_student_is_no_plural(study):
    results = study("phase_diagram").isel(stream=[0], initialisation=[0])
    assert data.behind(results) == "Behind each point: 1 student (1 stream × 1 initialisation)."


def test_normalised_signal_is_zero_by_chance_and_one_when_captured(study):
    results = study("phase_diagram")
    chance = results["size"] / 128
    np.testing.assert_allclose(data.normalised_signal(results, chance), 0, atol=1e-12)
    np.testing.assert_allclose(data.normalised_signal(results, chance * 0 + 1), 1)


def test_bars_of_equal_values_are_not_negative():
    """0.1 three times has a mean above 0.1."""
    marks = data.at(data.spread(xr.DataArray([[0.1]] * 3, dims=("stream", "task"))))
    assert marks.mean[0] != 0.1 and (marks.bars() >= 0).all()


def test_an_arm_is_labelled_by_its_name_and_the_one_never_shown_is_a_control():
    results = made_arms.results(made_arms.FORGOTTEN, widths=made_arms.WIDTHS)
    assert [label for label, _ in data.points(results)] == list(made_arms.FORGOTTEN)
    (own,) = data.controls(results).values()
    assert own["arm"].item() == made_arms.NEVER
    assert {data.place(point) for _, point in data.points(results)} == set(data.controls(results))


def test_an_arm_that_has_not_begun_is_no_control():
    results = made_arms.results(made_arms.FORGOTTEN, widths=made_arms.WIDTHS)
    shown = results["exposure_step"].where(results["arm"] != "gap 50")
    waiting = results.assign(exposure_step=shown)
    assert "gap 50" in [label for label, _ in data.points(waiting)]


def test_names_are_drawn_as_they_are():
    """What stands between two $ is maths to Matplotlib, and may be none that it can read."""
    task = r"cost in $ {of^$ rows"
    results = xr.Dataset(
        {"loss": (("task", "step"), np.ones((2, 3)))}, {"task": [task, "text"], "step": [0, 1, 2]}
    )
    found = data.literal(results)
    assert found["task"].to_numpy().tolist() == [task.replace("$", r"\$"), "text"]
    figure = Figure()
    figure.text(0.5, 0.5, str(found["task"].to_numpy()[0]))
    figure.savefig(io.BytesIO(), format="png")
    figure.text(0.5, 0.2, task)
    with pytest.raises(ValueError, match=r"ParseException|Expected"):
        figure.savefig(io.BytesIO(), format="png")
    assert data.literal(results.drop_vars("task")).identical(results.drop_vars("task"))
