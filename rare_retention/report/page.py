"""The report of a study: one self-contained page, and its figures as files beside it."""

import base64
import inspect
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any, NamedTuple, TypedDict

import jinja2
import numpy as np
import xarray as xr
from etils import epath

from rare_retention.errors import UserError
from rare_retention.evidence import states
from rare_retention.record.dataset import load
from rare_retention.record.files import read_record, write
from rare_retention.report.figures import data, select, style

STUDY, RESULTS, PAGE, FOLDER = "study.json", "results.nc", "report.html", "figures"

_CHECKED = {"holds": "passed", "fails": "failed"}  # how the verdict on a check is called
_SYMBOLS = {"holds": "✓", "fails": "✗", "inconclusive": "?", "not tested": "–"}
_ACCOUNTS = {"none": "speaks for none of the three accounts"}
_RELATIONS = {"<": "<", "<=": "≤", ">": ">", ">=": "≥"}
_NOTHING = "–"
_TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("rare_retention.report"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


class Provenance(TypedDict):
    """Where and how a study ran.

    Attributes:
        versions: of Python and of each package that decides the numbers.
        hardware: what the study ran on, such as {"device": "cpu", "devices": 1, "hosts": 1}.
        changes: lines on runs, or parts of them, that ran on something else.
        started: when the study started, as text.
        seconds: of wall-clock time that it took.
        commands: the command lines that run it again and rebuild this page.
    """

    versions: Mapping[str, str]
    hardware: Mapping[str, object]
    changes: Sequence[str]
    started: str
    seconds: float
    commands: Sequence[str]


class Drawn(NamedTuple):
    """A figure of the page: its name, its captions, claims that rest on it, its PNG in base64."""

    name: str
    caption: str
    paper: str
    claims: tuple[str, ...]
    png: str


def build(
    workdir: epath.PathLike,
    verdicts: Sequence[Mapping[str, Any]],
    provenance: Provenance,
    figures: Sequence[str],
) -> epath.Path:
    """Writes the figures and the page of a study, the same bytes each time.

    Args:
        workdir: of a study that has written `study.json` and `results.nc`.
        verdicts: judged claims with the keys claim, statement, source, statistic, kind, account,
            against, threshold, relation, estimate, low, high, units, covers, differ, interval,
            verdict, together and note.
        provenance: where and how the study ran.
        figures: names out of `report.figures.FIGURES`.

    Returns:
        The page, `workdir/report.html`.

    Raises:
        ConfigError: there is no such figure, or the results lack what it needs.
        UserError: a file of the study is absent or damaged, or the folder cannot be written.
    """
    folder = epath.Path(workdir)
    for name in (STUDY, RESULTS):
        if not (folder / name).exists():
            raise UserError(
                f"{folder}: no {name} here; expected the folder of a study that has run"
            )
    remedy = "run launch.study again, which writes it anew"
    study = read_record(folder / STUDY, remedy, required=False)
    results = load(folder / RESULTS)
    drawn = draw(results, figures, folder / FOLDER)
    text = render(describe(study, results, verdicts, provenance, drawn))
    page = folder / PAGE
    _save(page, text.encode())
    return page


def draw(results: xr.Dataset, names: Sequence[str], folder: epath.Path) -> list[Drawn]:
    """Writes `NAME.png` and `NAME.svg` of each figure into a folder.

    Raises:
        ConfigError: there is no such figure, or the results lack what it needs.
    """
    chosen = select(names, results)
    behind = data.behind(results)
    drawn = []
    for name, spec in chosen.items():
        shown = data.literal(results)
        figure = spec.draw(shown if spec.branches else states.trunk(shown))
        png = style.png(figure)
        _save(folder / f"{name}.png", png)
        _save(folder / f"{name}.svg", style.svg(figure))
        paper = f"paper, Fig. {', '.join(spec.paper)}" if spec.paper else "not in the paper"
        caption = f"{spec.caption} {behind}"
        drawn.append(Drawn(name, caption, paper, spec.claims, base64.b64encode(png).decode()))
    return drawn


def render(context: Mapping[str, Any]) -> str:
    """The page as HTML; every text in the context is escaped."""
    return _TEMPLATES.get_template("report.html").render(context)


def describe(
    study: Mapping[str, Any],
    results: xr.Dataset,
    verdicts: Sequence[Mapping[str, Any]],
    provenance: Provenance,
    figures: Sequence[Drawn],
) -> dict[str, Any]:
    """Everything that the page says, for `render`.

    Args:
        study: the study's config as plain JSON values.
        results: of the study.
        verdicts: see `build`.
        provenance: see `build`.
        figures: what `draw` returned.
    """
    judged = [verdict_row(verdict) for verdict in verdicts]
    claims = [row for row in judged if row["kind"] == "claim"]
    return {
        "title": str(results.attrs["name"]).replace("_", " "),
        "question": paragraphs(str(results.attrs["question"])),
        "verdicts": claims,
        "checks": [row for row in judged if row["kind"] == "check"],
        "tally": [
            {"word": word, "symbol": symbol, "count": count, "css": _css(word)}
            for word, symbol in _SYMBOLS.items()
            if (count := sum(row["verdict"] == word for row in claims))
        ],
        "methods": list(dict.fromkeys(str(verdict["interval"]) for verdict in verdicts)),
        "figures": [
            {
                **figure._asdict(),
                "verdicts": [row for row in judged if row["claim"] in figure.claims],
            }
            for figure in figures
        ],
        "summary": summary(results),
        "sections": sections(study),
        "lost": lost(results),
        "hardware": {name: str(value) for name, value in provenance["hardware"].items()},
        "versions": dict(provenance["versions"]),
        "changes": list(provenance["changes"]),
        "started": provenance["started"],
        "duration": duration(provenance["seconds"]),
        "commands": list(provenance["commands"]),
    }


def verdict_row(verdict: Mapping[str, Any]) -> dict[str, str]:
    """A judged claim as the texts of a row of the table."""
    word, kind, account = (str(verdict[name]) for name in ("verdict", "kind", "account"))
    low, high = number(verdict["low"]), number(verdict["high"])
    wide = verdict["low"] != verdict["high"]  # units that are all equal may have no interval
    kept = ("claim", "statement", "source", "statistic", "kind", "against", "note", "together")
    return {name: str(verdict[name]) for name in kept} | {
        "verdict": word,
        "word": _CHECKED.get(word, word) if kind == "check" else word,
        "account": _ACCOUNTS.get(account, f"speaks for or against the {account} account"),
        "symbol": _SYMBOLS[word],
        "css": _css(word),
        "estimate": number(verdict["estimate"]),
        "interval": f"{low} to {high}" if _NOTHING not in (low, high) and wide else "",
        "covers": _covers(verdict),
        "test": f"{_RELATIONS[verdict['relation']]} {number(verdict['threshold'])}",
    }


def _covers(verdict: Mapping[str, Any]) -> str:
    """Such as "3 streams (batches, initial weights and tasks)"."""
    if verdict["units"] < 2:
        return ""
    return f"{verdict['units']} {verdict['covers']} ({verdict['differ']})"


def number(value: object) -> str:
    """Three significant digits; a dash for nothing or NaN; other values as they are."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return _NOTHING
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def paragraphs(text: str) -> list[tuple[str, str]]:
    """A docstring as ("p" or "pre", text): indented blocks, such as commands, stay as they are."""
    blocks = re.split(r"\n\s*\n", inspect.cleandoc(text))
    return [
        ("pre", inspect.cleandoc(f"\n{block}")) if block.startswith("    ") else ("p", block)
        for block in blocks
        if block.strip()
    ]


def summary(results: xr.Dataset) -> dict[str, str]:
    """What was varied, repeated and trained, by name."""
    found = {
        data.symbol(name): ", ".join(number(value) for value in results[name].values.tolist())
        for name in states.grid(results)
    }
    sizes = data.sizes(results)
    if isinstance(sizes[0], str):
        found["sizes"] = ", ".join(map(str, sizes))
    found |= {
        "widths N": ", ".join(f"{width}" for width in results["width"].to_numpy()),
        "parameters": ", ".join(f"{count:,}" for count in results["parameters"].to_numpy()),
        "streams": f"{results.sizes['stream']}",
        "initialisations": f"{results.sizes['initialisation']} of each size",
        "tasks K": f"{results.sizes['task']}",
    }
    if results.attrs.get("inputs"):
        found["inputs D"] = f"{results.attrs['inputs']}"
    found["batch B"] = _each(results["step_rows"])
    found["tokens a row"] = _each(results["step_tokens"] / results["step_rows"])
    steps = results.sizes["step"]
    return found | {"steps": f"{results.attrs['steps']} (measured at {steps})"}


def _each(values: xr.DataArray) -> str:
    """The different values of some runs, but for those that have not begun."""
    found = values.to_numpy()
    return ", ".join(number(value) for value in np.unique(found[np.isfinite(found)]))


def sections(study: Mapping[str, Any]) -> list[tuple[str, dict[str, str]]]:
    """The config as small tables: one for each group of fields, named by its dotted path."""
    groups: dict[str, dict[str, str]] = {}
    for path, value in _leaves("", study):
        if path == "question":  # stands at the top of the page
            continue
        group, _, name = path.rpartition(".")
        groups.setdefault(group or "study", {})[name] = value
    return list(groups.items())


def lost(results: xr.Dataset) -> list[str]:
    """A line for each model whose run did not reach its last step, or has no finite loss there.

    Such as `stream 2, gap G = 64: N = 32 (initialisation 1, diverged at step 40)`; none where all
    is whole.

    Args:
        results: of a study.
    """
    final, names, sizes = data.ended(results), states.grid(results), data.names(results)
    order = ("stream", *names)
    runs = final.stack(run=order).transpose("run", "size", "initialisation")
    ended = results["finished"].broadcast_like(final.isel(initialisation=0, drop=True))
    finished = ended.stack(run=order).transpose("run", "size")
    halted = results.get("halted", xr.full_like(final, np.nan, float)).stack(run=order)
    lines = []
    for run, whole in zip(runs, finished, strict=True):
        steps = halted.sel(run=run["run"].item())
        place = [f"stream {int(run['stream'])}"]
        place += [f"{data.symbol(name)} = {number(run[name].item())}" for name in names]
        students = [
            f"{sizes[student['size'].item()]} (initialisation {int(student['initialisation'])}"
            f"{_diverged(steps, student)})"
            for student in run.stack(student=("size", "initialisation"))
            if not bool(student)
        ]
        if len(students) == run.size:
            lines.append(f"{', '.join(place)}: every student")
        elif students:
            lines.append(f"{', '.join(place)}: {', '.join(students)}")
        elif not bool(whole.all()):
            early = [sizes[size] for size in whole["size"].to_numpy()[~whole.to_numpy()].tolist()]
            which = "" if len(early) == whole.size else f": {', '.join(early)}"
            lines.append(f"{', '.join(place)}{which}: stopped early, measured to where it came")
    return lines


def _diverged(halted: xr.DataArray, student: xr.DataArray) -> str:
    """When a student diverged, if it did, as the end of what it is called."""
    place = {dim: student[dim].item() for dim in ("size", "initialisation")}
    step = float(halted.sel(place))
    return f", diverged at step {int(step):,}" if np.isfinite(step) else ""


def duration(seconds: float) -> str:
    """Wall-clock time in the two largest units, such as 2 h 05 min."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def _save(path: epath.Path, content: bytes) -> None:
    def fill(file: IO[bytes]) -> None:
        file.write(content)

    write(path, fill)


def _css(word: str) -> str:
    return word.replace(" ", "-")


def _leaves(path: str, value: Any) -> Iterator[tuple[str, str]]:
    """Leaves by dotted path; a list is one leaf unless it holds groups."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _leaves(f"{path}.{name}" if path else str(name), item)
    elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
        for index, item in enumerate(value):
            yield from _leaves(f"{path}[{index}]", item)
    else:
        yield path, value if isinstance(value, str) else json.dumps(value)
