"""From results to verdicts, figures and the page: what is chosen, and what is said."""

import numpy as np
import pytest
import tiny
from etils import epath

from rare_retention.record.files import read_json
from rare_retention.record.manifest import Manifest, write_manifest
from rare_retention.report import build as module
from rare_retention.report.build import build, provenance
from rare_retention.study.claims import representation
from rare_retention.study.folder import RUNS

FIGURES = "('phase_diagram', 'probe_r2')"


@pytest.fixture
def built(tmp_path, monkeypatch):
    """f(results, ...) -> lines, claims and names of drawn figures of a study with these results."""
    pages = []

    def page(workdir, claims, origin, figures):
        pages.append((claims, figures))
        return workdir / "report.html"

    def build_it(results, **changes):
        monkeypatch.setattr(module, "collect", lambda study, workdir: results)
        lines = list(build(tiny.study(**changes), epath.Path(tmp_path)))
        claims, figures = pages[-1]
        assert read_json(epath.Path(tmp_path) / "claims.json") == claims
        return lines, [claim["claim"] for claim in claims], figures

    monkeypatch.setattr(module, "provenance", lambda study, workdir: {})
    monkeypatch.setattr(module.page, "build", page)
    return build_it


def test_a_study_is_judged_and_drawn_as_it_asks(built, study, tmp_path):
    asked = {"figures": "('residual_axis', 'phase_diagram')", "claims": "('staircase',)"}
    lines, claims, figures = built(study("phase_diagram"), **asked)
    assert claims == ["staircase"]
    assert figures == ["residual_axis", "phase_diagram"]
    assert len(lines) == 2 and lines[-1] == f"report: {tmp_path / 'report.html'}"


def test_figures_of_snapshots_wait_for_their_evidence(built, study, tmp_path):
    lines, claims, figures = built(study("learning_curves"), figures=FIGURES, claims="()")
    assert figures == ["phase_diagram"] and not claims
    assert lines[0] == (
        f"no figure probe_r2 yet: python -m launch.evidence --workdir={tmp_path} comes first"
    )


def test_evidence_that_was_collected_is_drawn_and_judged_unasked(built, study):
    results = study("probe_r2")
    _, claims, figures = built(results, figures="('task_text',)", claims="()")
    assert figures == ["task_text", "probe_r2", "fourier_modes", "alignment", "null_intervention"]
    assert claims == [claim.name for claim in representation.CLAIMS]


def test_evidence_without_a_value_was_not_collected(built, study):
    results = study("probe_r2")
    for name in results.data_vars:
        if "snapshot" in results[name].dims:
            results[name] = results[name] * np.nan
    _, claims, figures = built(results, figures="('task_text',)", claims="()")
    assert figures == ["task_text"] and not claims


def test_a_line_says_the_verdict_and_its_numbers_or_why_there_are_none(judged):
    holds = module.Verdict(**judged(estimate=0.12345, relation="<=", threshold=0.5))
    assert module._line(holds) == (
        "holds        A narrow student loses most of what it gained. (0.123, <= 0.5)"
    )
    check = module.Verdict(**judged(kind="check", estimate=0.12345))
    assert module._line(check).startswith("passed       check: A narrow student loses")
    blank = module.Verdict(**judged(verdict="not tested", estimate=np.nan, note="one width only"))
    assert module._line(blank) == (
        "not tested   A narrow student loses most of what it gained. (one width only)"
    )


def test_provenance_is_of_the_first_start_and_the_time_of_all(tmp_path, monkeypatch):
    workdir = epath.Path(tmp_path)
    study = tiny.study(streams=3)
    starts = {"stream=0": "2030-01-02", "stream=2": "2030-01-01"}  # the other one never ran
    for name, start in starts.items():
        monkeypatch.setattr("sys.argv", ["launch/study.py", name])
        monkeypatch.setattr("time.strftime", lambda *_, start=start: start)
        write_manifest(workdir / RUNS / name, Manifest(seconds=2.5))
    found = provenance(study, workdir)
    assert (found["started"], found["seconds"]) == ("2030-01-01", 5.0)
    assert found["commands"] == [
        "python -m launch.study stream=2",
        f"python -m launch.report --workdir={workdir}",
    ]
