"""From the runs of a study to its results, verdicts, figures and page."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from etils import epath

from rare_retention.record.files import write_json
from rare_retention.record.manifest import Manifest, read_manifest
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
    found = {unit.name: read_manifest(workdir / RUNS / unit.name) for unit in units(study)}
    named = {name: about for name, about in found.items() if about is not None}
    manifests = list(named.values())
    first = min(manifests, key=lambda about: about.started)
    return {
        "versions": first.versions,
        "hardware": first.hardware,
        "changes": _changes(first, named),
        "started": first.started,
        "seconds": sum(about.seconds for about in manifests),
        "commands": [first.command, f"python -m launch.report --workdir={workdir}"],
    }


def _changes(first: Manifest, named: Mapping[str, Manifest]) -> list[str]:
    """Where runs, or parts of them, were trained on something else than the first one's start."""
    usual = _place(first.parts[0]) if first.parts else {}
    found = []
    for name, about in named.items():
        known = usual
        for part in about.parts:
            own = _place(part)
            other = {key: value for key, value in own.items() if known.get(key, value) != value}
            if other:
                said = ", ".join(f"{key} {value}" for key, value in other.items())
                found.append(f"{name}: {said} from step {part['step']:,} on")
            known = own
    return found


def _place(part: Mapping[str, Any]) -> dict[str, Any]:
    """Hardware and versions of a part, and the axes of its mesh that have more than one device."""
    mesh = {f"mesh.{axis}": size for axis, size in part["mesh"].items()}
    return {**part["hardware"], **mesh, **part["versions"]}


def _line(verdict: Verdict) -> str:
    limit = f"{verdict.relation} {verdict.threshold:g}"
    known = math.isfinite(verdict.estimate)
    return (
        f"{verdict.word:<12} {'check: ' * (verdict.kind == 'check')}{verdict.statement} "
        f"({f'{verdict.estimate:.3g}, {limit}' if known else verdict.note})"
    )
