"""Evidence from snapshots beside the results of its study, and in the report or not yet."""

import numpy as np
import pytest
import tiny
import xarray as xr
from etils import epath
from made_language import RATES
from made_representation import representation

from rare_retention.evidence import states
from rare_retention.record.dataset import save
from rare_retention.record.files import write_json
from rare_retention.record.manifest import Manifest
from rare_retention.report import build as module
from rare_retention.report.figures import FROM_SNAPSHOTS, OF_SNAPSHOTS
from rare_retention.settings.student import Student
from rare_retention.study import evidence
from rare_retention.study.claims.representation import CLAIMS
from rare_retention.study.describe import variables
from rare_retention.study.results import EVIDENCE, with_evidence


@pytest.fixture(scope="module")
def whole():
    """Results with their evidence, read only."""
    return representation(rates=RATES[:2])


@pytest.fixture
def parts(whole, tmp_path):
    """The results alone, and the file of their evidence."""
    path = epath.Path(tmp_path) / EVIDENCE
    found = whole[sorted(FROM_SNAPSHOTS)].drop_vars(["gap"]).assign_attrs(tasks=["x"])
    save(found.isel(task=[1, 2]), path)
    return whole.drop_vars([*FROM_SNAPSHOTS, "snapshot", "layer"]), path


def test_evidence_stands_beside_the_results(whole, parts):
    results, path = parts
    joined = with_evidence(results, path)
    assert joined.attrs == whole.attrs
    for name in (*FROM_SNAPSHOTS, "loss"):
        np.testing.assert_array_equal(joined[name].transpose(*whole[name].dims), whole[name])
    assert states.grid(joined) == ("per_token",)


def test_results_without_evidence_stay_as_they_are(parts):
    results, path = parts
    path.unlink()
    assert with_evidence(results, path) is results


def test_a_study_that_has_grown_lacks_evidence_of_its_new_runs(parts):
    results, path = parts
    grown = results.reindex(stream=[0, 1, 2], fill_value={"finished": True})
    joined = with_evidence(grown, path)
    assert joined.sizes["stream"] == 3
    assert joined["r2"].sel(stream=2).isnull().all()
    assert joined["r2"].sel(stream=1, task="comparison").notnull().all()


def test_evidence_of_unfinished_runs_is_no_evidence(whole):
    results = whole.copy(deep=True)
    results["finished"][1, 0] = False
    kept = states.finished(results)["null_effect"]
    assert kept[1, 0].isnull().all() and kept[0, 0].notnull().any() and kept[1, 1].notnull().any()


@pytest.fixture
def report(parts, monkeypatch):
    """Function that builds the report of a study with some figures from some results."""
    _, path = parts

    def build(*figures, found):
        study = tiny.study(figures="()", claims="()")
        object.__setattr__(study, "figures", figures)
        write_json(path.parent / "study.json", {})
        save(found, path.parent / "results.nc")
        monkeypatch.setattr(module, "collect", lambda *_: found)
        about = {"versions": {}, "hardware": {}, "started": "", "seconds": 0, "commands": []}
        about |= {"changes": []}
        monkeypatch.setattr(module, "provenance", lambda *_: about)
        return list(module.build(study, path.parent)), path.parent / "figures"

    return build


def test_a_report_waits_for_evidence_in_one_line(report, parts):
    lines, folder = report("alignment", "task_text", found=parts[0])
    assert lines[0].startswith("no figure alignment yet: python -m launch.evidence --workdir=")
    assert len(lines) == 2 and lines[1].startswith("report: ")
    assert {path.stem for path in folder.iterdir()} == {"task_text"}


def test_a_report_draws_and_judges_evidence_that_is_there(report, parts):
    """Whether the study lists it or not."""
    lines, folder = report("alignment", "task_text", found=with_evidence(*parts))
    assert {path.stem for path in folder.iterdir()} == {"task_text", *OF_SNAPSHOTS}
    assert len(lines) == len(CLAIMS) + 1 and lines[-1].startswith("report: ")
    assert all(claim.statement in line for claim, line in zip(CLAIMS, lines, strict=False))


def test_a_variable_of_the_same_name_is_no_evidence(report, parts):
    """The competition of neurons has an alignment too, at every step."""
    results, _ = parts
    lines, folder = report("task_text", found=results.assign(alignment=results["loss"]))
    assert len(lines) == 1
    assert {path.stem for path in folder.iterdir()} == {"task_text"}


def test_a_study_of_other_models_will_never_have_it():
    assert not FROM_SNAPSHOTS & variables(tiny.study())


def test_evidence_of_who_has_diverged_is_missing():
    students = tuple(Student(f"olmo_{s}", s, 8, 100, i) for s in ("4M", "20M") for i in range(2))
    about = Manifest(students=students, halted={"olmo_4M_1": 30, "olmo_20M_0": 40})
    assert evidence.diverged(about, 30) == ()  # a state of that many updates is whole
    assert evidence.diverged(about, 31) == (("4M", 1),)
    assert (
        evidence.diverged(about, 50) == (("4M", 1), ("20M", 0))
        and evidence.diverged(None, 50) == ()
    )
    part = xr.Dataset(
        {
            "score": (("size", "initialisation", "layer"), np.ones((2, 2, 3))),
            "symbols": (("layer",), np.arange(3)),
        },
        {"size": ["4M", "20M"], "initialisation": [0, 1]},
    )
    found = evidence.without(part, (("4M", 1),))
    assert np.isnan(found.score.sel(size="4M", initialisation=1)).all()
    assert int(np.isnan(found.score).sum()) == 3
    assert found.symbols.identical(part.symbols)
    assert evidence.without(part, ()) is part
