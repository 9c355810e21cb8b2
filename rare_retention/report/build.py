"""From the runs of a study to its results, verdicts, figures and page."""

import math
from collections.abc import Iterator

from etils import epath

from rare_retention.record.files import write_json
from rare_retention.record.manifest import read_manifest
from rare_retention.report import page
from rare_retention.report.figures import FIGURES, FROM_SNAPSHOTS, OF_SNAPSHOTS, select
from rare_retention.study.claims import CLAIMS as ALL_CLAIMS
from rare_retention.study.claims import Verdict, definitions, judge, representation
from rare_retention.study.folder import CLAIMS, RUNS, stored_definitions
from rare_retention.study.grid import Study, units
from rare_retention.study.results import collect


def build(study: Study, workdir: epath.Path) -> Iterator[str]:
    """Writes results.nc, claims.json, figures/ and report.html of a study.

    Evidence from snapshots that has been collected is drawn and judged whether the study lists its
    figures and claims or not; listed figures of evidence that has not are left out.

    Yields:
        Lines for the terminal: a verdict on each claim, figures left out, where the page is.

    Raises:
        UserError: nothing has been measured yet, or a file is damaged.
    """
    results = collect(study, workdir)
    collected = {
        name
        for name in FROM_SNAPSHOTS.intersection(map(str, results.data_vars))
        if "snapshot" in results[name].dims and results[name].notnull().any()
    }
    claims = [claim.name for claim in representation.CLAIMS] if collected else []
    stored = stored_definitions(workdir)
    verdicts = [
        verdict.noting(definitions.note(stored, ALL_CLAIMS[verdict.claim]))
        for verdict in judge(results, dict.fromkeys([*study.claims, *claims]))
    ]
    write_json(workdir / CLAIMS, [verdict.to_dict() for verdict in verdicts])
    for verdict in verdicts:
        yield _line(verdict)
    found = [name for name in OF_SNAPSHOTS if collected.intersection(FIGURES[name].needs)]
    chosen = select(list(dict.fromkeys([*study.figures, *found])))
    absent = FROM_SNAPSHOTS.difference(map(str, results.data_vars))
    waiting = [name for name, spec in chosen.items() if absent.intersection(spec.needs)]
    for name in waiting:
        yield f"no figure {name} yet: python -m launch.evidence --workdir={workdir} comes first"
    written = page.build(
        workdir,
        [verdict.to_dict() for verdict in verdicts],
        provenance(study, workdir),
        [name for name in chosen if name not in waiting],
    )
    yield f"report: {written}"


def provenance(study: Study, workdir: epath.Path) -> page.Provenance:
    """Where and how the runs of a study ran, from their manifests."""
    found = [read_manifest(workdir / RUNS / unit.name) for unit in units(study)]
    manifests = [about for about in found if about is not None]
    first = min(manifests, key=lambda about: about.started)
    return {
        "versions": first.versions,
        "hardware": first.hardware,
        "started": first.started,
        "seconds": sum(about.seconds for about in manifests),
        "commands": [first.command, f"python -m launch.report --workdir={workdir}"],
    }


def _line(verdict: Verdict) -> str:
    limit = f"{verdict.relation} {verdict.threshold:g}"
    known = math.isfinite(verdict.estimate)
    return (
        f"{verdict.word:<12} {'check: ' * (verdict.kind == 'check')}{verdict.statement} "
        f"({f'{verdict.estimate:.3g}, {limit}' if known else verdict.note})"
    )
