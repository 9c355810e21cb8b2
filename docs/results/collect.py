"""Writes the page of a study that has run: python docs/results/collect.py WORKDIR NAME [MACHINE].

`NAME.md` has what was run, figures and verdicts, and keeps its title and "What was seen".
"""

import json
import re
import sys
from pathlib import Path

from PIL import Image

from rare_retention.wording import plural

HERE = Path(__file__).parent
MACHINE = "2 cores of an Intel Xeon (AVX-512)"
SEEN = "## What was seen"


def verdict_row(v: dict) -> str:
    """One row of the table of verdicts; an absent number is a dash."""
    found = ["–" if v[key] is None else f"{v[key]:.3g}" for key in ("estimate", "low", "high")]
    tested = v["low"] is not None and v["low"] != v["high"]
    covers = "–" if v["covers"] == "none" else f"{v['units']} {v['covers']} ({v['differ']})"
    note = re.sub(r"explored: .*", "explored: judged by a definition later than the run", v["note"])
    said = f"{v['statement']} ({note})" if note else v["statement"]
    limit, span = (
        f"{v['relation']} {v['threshold']:g}",
        f"{found[1]} to {found[2]}" if tested else "–",
    )
    check = v.get("kind") == "check"  # absent from what was judged before there were checks
    word = {"holds": "check passed", "fails": "check failed"}.get(v["verdict"]) if check else None
    cells = (f"**{word or v['verdict']}**", said, v["source"], found[0], span, limit, covers)
    return "| " + " | ".join(cell.replace("|", "\\|").replace("_", "\\_") for cell in cells) + " |"


def branch(own: dict) -> str:
    """What a branch goes on from, and for how long."""
    at = f"exposure {own['after_exposure']}" if own["at"] is None else f"step {own['at']:,}"
    return f"{own['name']}: {own['steps']:,} steps from {at} of {own['of']}"


def along(axis: dict) -> str:
    """An axis of the grid and its places, by their names where they have some."""
    if axis.get("named"):
        return f"{axis['dimension']}: " + "; ".join(axis["named"])
    return f"{axis['field']} in {axis['values']}"


def page(workdir: Path, name: str, machine: str, title: str) -> str:
    """The page up to the commentary; copies the figures to `images/`."""
    study = json.loads((workdir / "study.json").read_text())
    runs = [json.loads(path.read_text()) for path in sorted(workdir.glob("runs/*/manifest.json"))]
    run, first = study["run"], runs[0]
    options = [option for option in first["command"].split() if option.startswith("--config")]
    words = ["python -m launch.study", *options, f"--workdir=runs/{name}"]
    command = (" " if len(" ".join(words)) < 100 else " \\\n    ").join(words)
    grid = "; ".join(map(along, study["grid"])) or "no grid"
    students = {(s["size"], s["initialisation"]): s for run in runs for s in run["students"]}
    ordered = sorted(students.values(), key=lambda student: student["parameters"])
    names = ", ".join(dict.fromkeys(str(student["size"]) for student in ordered))
    sizes = names if isinstance(ordered[0]["size"], str) else f"widths {names}"
    versions = f"Python {first['versions']['python']}, JAX {first['versions']['jax']}"
    lines = [title or f"# {study['name'].capitalize()}", "", study["question"].split("\n")[0], ""]
    lines += ["```sh", command, "```", "", "| | |", "| --- | --- |"]
    lines += [f"| runs | {len(runs)}: {plural(study['streams'], 'stream')}; {grid} |"]
    if study.get("branches"):
        lines += ["| branches | " + "; ".join(map(branch, study["branches"])) + " |"]
    lines += [f"| students | {sizes}; {len(students)} on each stream |"]
    of = " of the trunk" if study.get("branches") else ""
    lines += [f"| training | {run['steps']:,} steps{of}, a batch of {run['batch']} |"]
    lines += [f"| time | {sum(r['seconds'] for r in runs):.0f} s on {machine}; {versions} |", ""]
    (HERE / "images").mkdir(exist_ok=True)
    found = sorted(path.stem for path in (workdir / "figures").glob("*.png"))
    listed = [figure for figure in study["figures"] if figure in found]  # evidence may be to come
    for figure in dict.fromkeys([*listed, *found]):  # and is drawn unasked
        image = f"images/{name}_{figure}.png"
        drawn = Image.open(workdir / f"figures/{figure}.png").convert("RGB")
        drawn.quantize(256).save(HERE / image, optimize=True)
        lines += [f"![{figure.replace('_', ' ')}]({image})", ""]
    lines += ["| verdict | claim | source | estimate | 95% interval | threshold | units |"]
    lines += ["| --- | --- | --- | --- | --- | --- | --- |"]
    lines += [verdict_row(v) for v in json.loads((workdir / "claims.json").read_text())]
    return "\n".join(lines) + f"\n\n{SEEN}\n"


if __name__ == "__main__":
    source, name = Path(sys.argv[1]), sys.argv[2]
    target = HERE / f"{name}.md"
    before = target.read_text() if target.exists() else ""
    kept = before.partition(SEEN)[2].lstrip("\n")
    written = page(source, name, (sys.argv[3:] or [MACHINE])[0], before.partition("\n")[0])
    target.write_text(f"{written}\n{kept}")
