"""The page: self-contained, escaped, complete, and the same each time."""

import base64
import html.parser
import json
import re

import numpy as np
import pytest
from etils import epath
from made_language import language, varied

from rare_retention.errors import ConfigError, UserError
from rare_retention.record.dataset import save
from rare_retention.report import page

PROVENANCE: page.Provenance = {
    "versions": {"python": "3.11.7", "jax": "0.10.2"},
    "hardware": {"device": "TPU v5 lite", "devices": 16, "hosts": 4},
    "changes": ["stream=1: devices 8 from step 1,000 on"],
    "started": "2026-11-21T10:00:00Z",
    "seconds": 7530.4,
    "commands": ["python -m launch.study --workdir=runs/x", "python -m launch.report"],
}


class Parser(html.parser.HTMLParser):
    """Collects the tags, attributes and text of a page; every tag must be closed."""

    VOID = ("meta", "img", "br")

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.text = [], [], ""
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += f" {data}"


def write_study(folder, results):
    save(results, epath.Path(folder / page.RESULTS))
    config = {
        "name": "made_up",
        "question": "asked above",
        "streams": 2,
        "grid": [{"field": "exposure.gap", "values": [16, 64]}],
        "run": {"batch": 64, "optimizer": {"peak": 0.001, "schedule": "inverse_sqrt"}},
    }
    (folder / page.STUDY).write_text(json.dumps(config))
    return folder


@pytest.fixture
def workdir(tmp_path, study):
    return write_study(tmp_path, study("injection"))


@pytest.fixture(scope="module")
def built(tmp_path_factory, study, judged):
    """A page, read only."""
    workdir = write_study(tmp_path_factory.mktemp("study"), study("injection"))
    verdicts = [
        judged(),
        judged(claim="b", statement="Wide <b>students</b> & others", verdict="fails"),
        judged(claim="c", verdict="inconclusive", low=None, high=None, units=1, covers="none"),
        judged(claim="d", verdict="not tested", estimate=None, low=None, high=None, note="no gap"),
        judged(claim="e", kind="check", account="none", statement="Numbers add up."),
    ]
    return page.build(workdir, verdicts, PROVENANCE, ["injection", "gap_width"]).read_text()


def test_the_page_needs_nothing_else(built):
    for tag, attributes in Parser(built).tags:
        assert tag not in ("script", "link", "iframe", "object")
        assert attributes.get("src", "data:image/png;base64,").startswith("data:image/png;base64,")
        assert attributes.get("href", "#").startswith("#")  # within the page
    assert "url(" not in built
    assert "@import" not in built
    assert not re.search(r"https?://", built)


def test_every_verdict_is_shown_by_symbol_word_and_colour(built):
    parsed = Parser(built)
    for symbol, word in (
        ("✓", "holds"),
        ("✗", "fails"),
        ("?", "inconclusive"),
        ("–", "not tested"),
    ):
        assert f"{symbol} {word}" in parsed.text
        assert f"{symbol} 1 {word}" in parsed.text
        name = word.replace(" ", "-")
        assert any(attributes.get("class") == f"badge {name}" for _, attributes in parsed.tags)
        assert f".{name} {{ color:" in built
    assert built.index("Verdicts") < built.index("<figure")
    said = ("3 streams (batches alone)", "≤ 0.5", "no gap", "95% t interval")
    for text in ("0.123", "0.08 to 0.17", *said):
        assert text in parsed.text


def test_checks_stand_apart_and_are_not_counted(built):
    text = " ".join(Parser(built).text.split())
    assert "4 judged" in text and "✓ 1 holds" in text and "✓ passed" in text
    places = [text.index(words) for words in ("Checks of numerics", "Numbers add up.", "1. What")]
    assert places == sorted(places)


def test_each_claim_says_what_it_speaks_for_and_what_would_be_against_it(built):
    text = " ".join(Parser(built).text.split())
    assert "speaks for or against the retention account" in text
    assert "Against it: It still has most of it." in text


def test_text_is_escaped(built):
    assert "Wide &lt;b&gt;students&lt;/b&gt; &amp; others" in built
    assert "<b>students" not in built


def test_figures_are_inlined(built):
    images = [attributes for tag, attributes in Parser(built).tags if tag == "img"]
    assert len(images) == 2
    assert all("Behind each point: 4 students" in image["alt"] for image in images)
    assert "paper, Fig. 4a, 16a, 20" in built


def test_what_was_run_and_where_is_shown(built):
    text = " ".join(Parser(built).text.split())
    for shown in (
        "made up",
        "Does it draw?",
        "gap G 16, 64",
        "widths N 4, 16, 48",
        "parameters 400, 1,600, 4,800",
        "batch B 64",
        "tokens a row 1",
        "run.optimizer",
        "inverse_sqrt",
        "grid[0]",
        "exposure.gap",
        "TPU v5 lite",
        "hosts 4",
        "jax 0.10.2",
        "2 h 05 min",
        "python -m launch.study --workdir=runs/x",
        "None: every student was trained to the end.",
    ):
        assert shown in text
    assert "asked above" not in text


def test_figures_stand_beside_the_page_as_they_are_in_it(study, tmp_path):
    drawn = page.draw(study("rank_one"), ["rank_one", "phase_diagram"], epath.Path(tmp_path))
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["phase_diagram.png", "phase_diagram.svg", "rank_one.png", "rank_one.svg"]
    assert [figure.name for figure in drawn] == ["rank_one", "phase_diagram"]
    assert base64.b64decode(drawn[0].png) == (tmp_path / "rank_one.png").read_bytes()


def test_rebuilding_gives_the_same_bytes(workdir, judged):
    def build():
        page.build(workdir, [judged()], PROVENANCE, ["gap_width"])
        files = [path for path in sorted(workdir.rglob("*")) if path.is_file()]
        return {str(path): path.read_bytes() for path in files}

    assert build() == build()
    assert not list(workdir.rglob(".*.tmp"))


def test_a_study_without_claims_and_figures_has_a_page(workdir):
    text = page.build(workdir, [], PROVENANCE, []).read_text()
    assert "judges no claims" in text
    assert "draws no figures" in text


def test_an_unknown_figure_writes_nothing(workdir):
    with pytest.raises(ConfigError, match=r"figures\[0\]: no figure 'injektion'"):
        page.build(workdir, [], PROVENANCE, ["injektion"])
    assert sorted(path.name for path in workdir.iterdir()) == [page.RESULTS, page.STUDY]


@pytest.mark.parametrize("name", [page.STUDY, page.RESULTS])
def test_an_absent_or_damaged_file_is_one_line(workdir, name):
    (workdir / name).write_bytes(b"\x00 nothing")
    with pytest.raises(UserError, match="damaged") as caught:
        page.build(workdir, [], PROVENANCE, [])
    assert "\n" not in str(caught.value)
    (workdir / name).unlink()
    with pytest.raises(UserError, match=f"no {name} here"):
        page.build(workdir, [], PROVENANCE, [])


def test_lost_students_are_named(study, lose):
    results = study("injection")
    assert page.lost(results) == []
    results = lose(results, stream=1, gap=64)
    results = lose(results, stream=0, gap=16, size=48, initialisation=1)
    assert page.lost(results) == [
        "stream 0, gap G = 16: N = 48 (initialisation 1)",
        "stream 1, gap G = 64: every student",
    ]


def test_batches_and_windows_that_differ_are_all_named():
    found = page.summary(varied(language((), streams=1, steps=[0, 10]), (64, 128), (16, 32)))
    assert (found["batch B"], found["tokens a row"]) == ("64, 128", "16, 32")


def test_language_models_are_called_by_their_sizes(study, lose):
    results = study("task_text")
    found = page.summary(results)
    assert found["frequency f"] == "2.4e-05, 2.4e-07"
    assert found["sizes"] == "4M, 20M, 80M"
    assert found["tokens a row"] == "512"
    assert "inputs D" not in found
    results = lose(results, stream=1, per_token=2.4e-7, size="4M", initialisation=0)
    assert page.lost(results) == ["stream 1, frequency f = 2.4e-07: 4M (initialisation 0)"]


def test_a_run_that_goes_on_is_named(study):
    results = study("injection")
    results["finished"].loc[{"stream": 0}] = False
    assert page.lost(results) == [
        "stream 0, gap G = 16: stopped early, measured to where it came",
        "stream 0, gap G = 64: stopped early, measured to where it came",
    ]


def test_sizes_that_stopped_early_apart_are_named(made):
    results = made.retention(gaps=(16,))
    ended = results["finished"].broadcast_like(results["loss"].isel(step=0, task=0, drop=True))
    results["finished"] = ended.isel(initialisation=0, drop=True).copy()
    smallest = results["size"].to_numpy()[0].item()
    results["finished"].loc[{"stream": 0, "size": smallest}] = False
    assert page.lost(results) == [
        f"stream 0, gap G = 16: N = {smallest}: stopped early, measured to where it came"
    ]
    results["finished"].loc[{"stream": 0}] = False
    assert page.lost(results) == ["stream 0, gap G = 16: stopped early, measured to where it came"]


def test_a_study_without_a_grid_names_its_students(study, lose):
    results = lose(study("rank_one"), stream=1, size=4, initialisation=0)
    assert page.lost(results) == ["stream 1: N = 4 (initialisation 0)"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (np.nan, "–"),
        (0.12345, "0.123"),
        (12800, "12800"),
        (1e-5, "1e-05"),
        ("(2.0, 2.0)", "(2.0, 2.0)"),
        (True, "True"),
    ],
)
def test_number(value, text):
    assert page.number(value) == text


def test_paragraphs_keep_commands_as_they_are():
    text = """Why?

    Because of
    this.

        python -m launch.study \\
            --config=x

    Done.
    """
    assert page.paragraphs(text) == [
        ("p", "Why?"),
        ("p", "Because of\nthis."),
        ("pre", "python -m launch.study \\\n    --config=x"),
        ("p", "Done."),
    ]


def test_sections_group_leaves_by_path():
    study = {"name": "x", "run": {"batch": 4, "setting": {"widths": [2, 4], "prior": None}}}
    assert page.sections(study) == [
        ("study", {"name": "x"}),
        ("run", {"batch": "4"}),
        ("run.setting", {"widths": "[2, 4]", "prior": "null"}),
    ]


@pytest.mark.parametrize(
    ("seconds", "text"), [(4.2, "4 s"), (61, "1 min 01 s"), (3600, "1 h 00 min")]
)
def test_duration(seconds, text):
    assert page.duration(seconds) == text
