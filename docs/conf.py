"""Sphinx settings: pages in MyST Markdown, the API from the docstrings."""

import re
from typing import Any

from sphinx.application import Sphinx

from rare_retention import __version__
from rare_retention.study.claims import CLAIMS

project = "rare_retention"
copyright = "the rare_retention authors"
release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "_templates"]

myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath", "fieldlist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
napoleon_custom_sections = [("Attributes", "params_style")]
default_role = "code"
add_module_names = False
python_maximum_signature_line_length = 88
toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_title = f"rare_retention {release}"
html_static_path = ["_static"]
html_css_files = ["code.css"]

_CODE = re.compile(r"(``.+?``|`[^`]+`|::\n\n(?:[ ][^\n]*\n?|\n)+)", re.DOTALL)


def _plain_docstring(*event: Any) -> None:
    """Docstrings are plain text: l*_k, |F| and pi_ are no markup, what `Example:` holds is code."""
    lines = event[-1]
    text = re.sub(r"^(Examples?):\n", r"\1::\n\n", "\n".join(lines), flags=re.MULTILINE)
    parts = _CODE.split(text)
    parts[::2] = [re.sub(r"([*|]|_(?!\w))", r"\\\1", prose) for prose in parts[::2]]
    lines[:] = "".join(parts).split("\n")


def _skip_tuple_fields(app: Sphinx, what: str, name: str, member: Any, *rest: Any) -> bool | None:
    """Leaves out "Alias for field number 0": the class describes its fields."""
    return True if type(member).__name__ == "_tuplegetter" else None


def _claims() -> str:
    """The registry of claims as tables, by what they speak for."""
    rows: dict[str, list[str]] = {}
    for claim in CLAIMS.values():
        part = "Checks" if claim.kind == "check" else f"Speak for or against {claim.account}"
        test = f"{claim.relation} {claim.threshold:g}"
        cells = (claim.statement, claim.statistic, test, claim.against, claim.source)
        plain = [re.sub(r"([|*_<])", r"\\\1", cell) for cell in cells]
        rows.setdefault(part, []).append(" | ".join([f"| `{claim.name}`", *plain]) + " |")
    head = "| name | claim | statistic | must be | against it | source |\n" + "| --- " * 6 + "|\n"
    parts = ("capacity", "acquisition", "retention", "none")
    order = [*(f"Speak for or against {part}" for part in parts), "Checks"]
    named = {order[3]: "Speak for none of them"}
    return "\n\n".join(
        f"## {named.get(part, part)}\n\n{head}" + "\n".join(rows[part])
        for part in order
        if part in rows
    )


def _with_claims(app: Sphinx, page: str, source: list[str]) -> None:
    """Puts the registry in its place on the page of claims."""
    if page == "claims":
        source[0] = source[0].replace("\nCLAIMS\n", f"\n{_claims()}\n")


def setup(app: Sphinx) -> None:
    """Connects the above, before napoleon reads the docstrings (at 500)."""
    app.connect("autodoc-process-docstring", _plain_docstring, priority=400)
    app.connect("source-read", _with_claims)
    app.connect("autodoc-skip-member", _skip_tuple_fields)
