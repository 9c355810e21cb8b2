"""What the pages show as code can be run."""

import dataclasses
import re
from pathlib import Path

from rare_retention.study.branch import Branch, Change
from rare_retention.study.grid import units

PAGE = Path(__file__).parent.parent / "docs" / "experiments.md"


def blocks(language):
    """Code of the page in a language, in order."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)


def test_the_study_of_the_page_can_be_declared_with_its_branches():
    study, *others = blocks("python")
    own = {}
    exec(study, own)
    (branches,) = [code for code in others if code.startswith("branches = ")]
    names = {"Branch": Branch, "Change": Change}
    exec(branches, names)
    declared = dataclasses.replace(own["get_config"](), branches=names["branches"])
    found = {unit.coordinates["branch"]: unit.run for unit in units(declared)}
    assert found["quiet"].exposure.left_out == (-1,)
    assert found["quiet for longer"].exposure.left_out == (-1,)
    assert found["quiet for longer"].start == 720


def test_the_unit_that_the_page_names_is_one():
    own = {}
    exec(blocks("python")[0], own)
    study = dataclasses.replace(own["get_config"](), apart=True)
    (name,) = re.findall(r'"--unit=([^"]+)"', PAGE.read_text())
    assert name in {unit.name for unit in units(study)}
