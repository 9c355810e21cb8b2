"""What holds for every figure."""

import functools
import re
import subprocess
import sys

import numpy as np
import pytest

from rare_retention.errors import ConfigError
from rare_retention.report.figures import FIGURES, FROM_SNAPSHOTS, OF_SNAPSHOTS, select, style
from rare_retention.representation.kinds import KINDS
from rare_retention.study.claims import CLAIMS

NAMES = sorted(FIGURES)


def draw(figure, laid_out=False):
    """Draws a figure on nothing: what fails in a file fails here. Laying it out takes longer."""
    if not laid_out:
        figure.set_layout_engine("none")
    with style.styled():
        figure.draw_without_rendering()


@pytest.fixture(scope="module")
def complete(study):
    """Function of a figure's name: the figure of a whole study, drawn once, and its results."""

    @functools.cache
    def drawn(name):
        results = study(name)
        return FIGURES[name].draw(results), results

    return drawn


@pytest.mark.parametrize("name", NAMES)
def test_a_figure_is_as_wide_as_the_page_and_says_what_it_shows(name, complete):
    figure, _ = complete(name)
    assert figure.get_figwidth() == style.PAGE_WIDTH
    assert 0 < len(figure.get_suptitle()) < 40
    (legend,) = figure.legends
    said = {"phase_diagram": "", "arms": "each point a student"}.get(name, "least to greatest")
    assert said in legend.get_title().get_text()
    assert "missing" not in legend.get_title().get_text()


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_drawn_outside_the_figure(name, complete):
    figure, _ = complete(name)
    draw(figure, laid_out=True)
    box = figure.get_tightbbox()
    assert box.x0 >= 0
    assert box.y0 >= 0
    assert box.x1 <= figure.get_figwidth() + 0.01
    assert box.y1 <= figure.get_figheight() + 0.01


@pytest.mark.parametrize("name", NAMES)
def test_drawing_does_not_change_the_results(name, study, complete):
    _, results = complete(name)
    assert results.identical(study(name))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "place", [{"stream": 1, "size": "first"}, {"stream": slice(None)}], ids=str
)
def test_a_study_with_missing_students_still_draws_and_says_so(name, place, study, lose):
    """A stream and a size, or all."""
    results = study(name)
    for dim, at in place.items():
        results = lose(results, **{dim: results["size"][0].item() if at == "first" else at})
    figure = FIGURES[name].draw(results)
    draw(figure)
    assert "students missing" in figure.legends[0].get_title().get_text()


@pytest.mark.parametrize("name", NAMES)
def test_one_student_alone_draws(name, study):
    results = study(name).isel(stream=[0], initialisation=[0], size=[1])
    figure = FIGURES[name].draw(results)
    draw(figure)
    assert any(panel.has_data() for panel in figure.axes)


@pytest.mark.parametrize("name", ["gap_width", "rank_one"])
def test_drawing_again_gives_the_same_bytes(name, study):
    first, second = (FIGURES[name].draw(study(name)) for _ in range(2))
    assert style.png(first) == style.png(second)
    assert style.svg(first) == style.svg(second)


@pytest.mark.parametrize("name", NAMES)
def test_a_figure_needs_what_it_says_it_needs(name, study):
    results = study(name)
    needed = {part for need in FIGURES[name].needs for part in need.split(" or ")}
    assert select([name], results) == {name: FIGURES[name]}
    kept = results.drop_vars([v for v in results.data_vars if v not in needed])
    FIGURES[name].draw(kept)


@pytest.mark.parametrize("name", NAMES)
def test_captions_are_one_sentence(name):
    caption = FIGURES[name].caption
    assert caption.endswith(".")
    assert ". " not in caption


FINDINGS = {
    *("larger", "more", "most", "higher", "lower", "falls", "rises", "never", "always"),
    *("keeps", "follows", "better", "worse"),
}


@pytest.mark.parametrize("name", NAMES)
def test_captions_say_what_is_drawn_and_no_finding(name):
    """What it means is a verdict's business: those of its claims stand beside it."""
    words = set(re.findall(r"[a-z]+", FIGURES[name].caption.lower()))
    allowed = {"most"} if "most frequent" in FIGURES[name].caption else set()
    assert not words & (FINDINGS - allowed)


def test_every_claim_stands_beside_a_figure():
    beside = {claim for spec in FIGURES.values() for claim in spec.claims}
    assert beside == set(CLAIMS)


def test_every_figure_of_the_paper_that_is_synthetic_is_there():
    drawn = {number for spec in FIGURES.values() for number in spec.paper}
    assert drawn >= {"2a", "2b", "3", "4a", "4b", "11", *(str(n) for n in range(12, 22))}


def test_an_unknown_figure_is_named_with_the_nearest():
    with pytest.raises(ConfigError) as caught:
        select(["injection", "phase_diagramm"])
    assert str(caught.value) == (
        "figures[1]: no figure 'phase_diagramm': did you mean 'phase_diagram'?"
    )
    with pytest.raises(ConfigError, match="there are phase_diagram, observed_vs_predicted"):
        select(["xyz"])


def test_results_that_lack_a_variable_are_refused(study):
    with pytest.raises(ConfigError, match=r"figures\[0\]: injection needs signal or chance, watch"):
        select(["injection"], study("competition"))


def test_figures_need_no_accelerator_library_and_no_global_state():
    code = (
        "import sys, rare_retention.report.page\n"
        "print([m for m in ('jax', 'flax', 'matplotlib.pyplot') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_more_grid_dimensions_make_more_panels(study):
    results = study("gap_width")
    twice = results.expand_dims(peak=[0.001, 0.01]).transpose("stream", ...)
    figure = FIGURES["gap_width"].draw(twice)
    assert len(figure.axes) == 6
    assert figure.axes[3].get_title(loc="left").endswith("peak = 0.01")
    assert np.all([panel.get_lines() for panel in figure.axes[:3]])


def test_variables_of_figures_are_measured_by_a_kind():
    measured = {name for kind in KINDS.values() for name in kind.quantities}
    assert measured > FROM_SNAPSHOTS
    assert {n for f in OF_SNAPSHOTS for n in FIGURES[f].needs if n in measured} == FROM_SNAPSHOTS
