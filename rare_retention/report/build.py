"""From the runs of a study to its results, verdicts, figures and page."""

from collections.abc import Iterator
from typing import Any

from etils import epath

from rare_retention.record.files import write_json
from rare_retention.record.manifest import read_manifest
from rare_retention.report import page
from rare_retention.study.claims import Verdict, judge
from rare_retention.study.folder import CLAIMS, RUNS
from rare_retention.study.grid import Study, cells
from rare_retention.study.results import collect


def build(study: Study, workdir: epath.Path) -> Iterator[str]:
    """Writes results.nc, claims.json, figures/ and report.html of a study.

    Yields:
        Lines for the terminal: a verdict on each claim, then where the page is.

    Raises:
        UserError: nothing has been measured yet, or a file is damaged.
    """
    results = collect(study, workdir)
    verdicts = judge(results, study.claims)
    write_json(workdir / CLAIMS, [verdict.to_dict() for verdict in verdicts])
    for verdict in verdicts:
        yield _line(verdict)
    written = page.build(
        workdir, [v.to_dict() for v in verdicts], provenance(study, workdir), study.figures
    )
    yield f"report: {written}"


def provenance(study: Study, workdir: epath.Path) -> page.Provenance:
    """Where and how the runs of a study ran, from their manifests."""
    found = [read_manifest(workdir / RUNS / cell.name) for cell in cells(study)]
    manifests: list[dict[str, Any]] = [about for about in found if about is not None]
    first = min(manifests, key=lambda about: about["started"])
    return {
        "versions": first["versions"],
        "hardware": first["hardware"],
        "started": first["started"],
        "seconds": sum(about["seconds"] for about in manifests),
        "commands": [first["command"], f"python -m launch.report --workdir={workdir}"],
    }


def _line(verdict: Verdict) -> str:
    return (
        f"{verdict.verdict:<12} {verdict.statement} "
        f"({verdict.estimate:.3g}, {verdict.relation} {verdict.threshold:g})"
    )
