"""What figures read from results: grid points, means and what is missing."""

import numpy as np
import pytest
import xarray as xr

from rare_retention.report.figures import data


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
