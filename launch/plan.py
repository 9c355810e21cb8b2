"""Says what a TPU slice, or some GPUs, would need for a study: memory, traffic, hours.

Example:
    python -m launch.plan --config=configs/olmo/comparison.py --topology=v5e:4x4
    python -m launch.plan --config=configs/olmo/comparison.py --topologies=v5e:16x16,v5p:4x4x4
    python -m launch.plan --config=configs/quickstart_lm.py --topology=cpu:8

Neither the corpus nor an accelerator is needed: the study's own programs are compiled for the
topology by libtpu, the TPU compiler, which the extra `plan` installs. GPUs are planned by
arithmetic. Times follow from a stated share of the peak, --mfu, and are no measurements.
"""

import json
import sys
from pathlib import Path
from typing import Any

from absl import flags

from launch import _unit
from rare_retention import flags as command_line
from rare_retention.errors import UserError
from rare_retention.study.grid import Study, check_flags

_TOPOLOGY = flags.DEFINE_string("topology", None, "what is booked: v5e:4x4, h100:8, cpu:8, ...")
_TOPOLOGIES = flags.DEFINE_list(
    "topologies", None, "several of them by commas, or all: the cheapest that fits, as a table"
)
_SLICES = flags.DEFINE_integer("slices", 1, "how many slices of that shape")
_JSON = command_line.define_path("json", None, "file to write the plan to, as JSON", shared=True)
_MARKDOWN = command_line.define_path("markdown", None, "file to write the table to, as Markdown")
_MFU = flags.DEFINE_float("mfu", 0.4, "assumed share of the chips' peak, above 0 and at most 1")
_BOUND = flags.DEFINE_bool(
    "bound", False, "compile to the end, in minutes, for the compiler's own bound on the time"
)
_TIMEOUT = flags.DEFINE_float("timeout", 1800, "seconds that one compilation may take")
_TRIES = flags.DEFINE_integer("tries", 12, "compilations that a search may take on one topology")

flags.adopt_module_key_flags(_unit)


def main(study: Study) -> int:
    """Plans the study; returns the exit code, 1 where something does not fit as configured."""
    _check()
    topologies = _topologies()
    import jax

    # Programs are traced here; an installed libtpu would look for a TPU for minutes.
    jax.config.update("jax_platforms", "cpu")
    from launch import common
    from rare_retention.planning import words
    from rare_retention.planning.booking import total
    from rare_retention.planning.planner import Asked, book, groups
    from rare_retention.text.declared import declared

    common.quieten()
    asked = Asked(
        mfu=_MFU.value,
        cheapest=_TOPOLOGIES.value is not None,
        every=_TOPOLOGIES.value is None,
        whole=_BOUND.value,
        limit=_TIMEOUT.value,
        tries=_TRIES.value,
        extensions=tuple(flags.FLAGS["extensions"].value or ()),
        say=lambda line: print(line, file=sys.stderr, flush=True),
    )
    with declared("always"):
        found = groups(study, _unit.UNIT.value)
        rows = []
        for group in found:
            row = []
            for topology in topologies:
                asked.say(f"{group.unit} on {topology.name}")
                row.append(book(group, topology, asked))
            rows.append(row)
    if _TOPOLOGIES.value is None:
        for (own,) in rows:
            print("\n".join(words.unit(own)), flush=True)
    if _TOPOLOGIES.value is not None or len(rows) > 1:
        print("\n".join(words.table(rows)))
    columns = [[row[i] for row in rows] for i in range(len(topologies))]
    if _JSON.value:
        whole = {own.name: total(c) for own, c in zip(topologies, columns, strict=True)}
        plan = {"study": study.name, "chip_hours": whole}
        _write(_JSON.value, plan | {"units": [own.json() for row in rows for own in row]})
    if _MARKDOWN.value:
        text = "\n".join(words.table(rows, markdown=True)) + "\n"
        Path(_MARKDOWN.value).write_text(text)
    return 0 if all(own.fits and not own.flags for row in rows for own in row) else 1


def _check() -> None:
    """Checks the flags.

    Raises:
        UserError: they say nothing, two things at once, or what cannot be.
    """
    if (_TOPOLOGY.value is None) == (_TOPOLOGIES.value is None):
        raise UserError("expected --topology or --topologies, as in --topology=v5e:4x4")
    if not 0 < _MFU.value <= 1:
        raise UserError(f"--mfu={_MFU.value:g}: expected above 0 and at most 1")
    if _TRIES.value < 1:
        raise UserError(f"--tries={_TRIES.value}: expected at least 1")
    for name, path in (("json", _JSON.value), ("markdown", _MARKDOWN.value)):
        if path and not Path(path).parent.is_dir():
            raise UserError(f"--{name}={path}: there is no folder {Path(path).parent}")


def _topologies() -> list[Any]:
    """What is planned for.

    Raises:
        UserError: one is not known.
    """
    from rare_retention.planning import topology

    names = [_TOPOLOGY.value or ""] if _TOPOLOGIES.value is None else _TOPOLOGIES.value
    if names == ["all"]:
        names = [name for name in topology.known() if not name.startswith("cpu")]
    return [topology.parse(name, _SLICES.value) for name in names]


def _write(path: str, plan: dict[str, Any]) -> None:
    Path(path).write_text(json.dumps(plan, indent=2) + "\n")


if __name__ == "__main__":
    command_line.run(main, Study, check_flags)
