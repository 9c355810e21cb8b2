"""Definitions of claims: digests see code and arguments, notes say what changed and when."""

import functools
import sys
import types

import pytest

from rare_retention.study.claims import CLAIMS, definitions
from rare_retention.study.claims.claim import Claim


def claim(compute=len, threshold=0.5, **more):
    return Claim(
        "c", "C is large.", "us", "c", ">", threshold, compute, "none", "C is small.", **more
    )


def written(text, name="own_claims"):
    """A module of this text, as if it had been imported."""
    module = types.ModuleType(name)
    exec(compile(text, f"{name}.py", "exec"), module.__dict__)
    for value in vars(module).values():
        if callable(value):
            value.__module__ = name
    return module


@pytest.fixture
def module(tmp_path, monkeypatch):
    """f(text) -> the function `compute` of a module with that text."""

    def made(text):
        path = tmp_path / "own_claims.py"
        path.write_text(text)
        found = written(text)
        found.__file__ = str(path)
        monkeypatch.setitem(sys.modules, "own_claims", found)
        return found.compute

    return made


PLAIN = '"""Doc."""\n\ndef compute(results):\n    """Of results."""\n    return results + 1\n'


def test_code_is_what_is_computed_and_not_what_is_said_of_it(module):
    digest = definitions.code(module(PLAIN))
    same = PLAIN.replace("Of results.", "Of any results.").replace(
        "    return", "    # x\n    return"
    )
    assert definitions.code(module(same)) == digest
    assert definitions.code(module(PLAIN.replace("+ 1", "+ 2"))) != digest


def test_code_is_the_same_on_every_version_of_python(module):
    """Of Python 3.11's syntax trees: later versions have more fields."""
    assert definitions.code(module(PLAIN)) == "ff3d19549d54d97f"


CLAIMED = "\n\nclaim = Claim(name='c', threshold=0.5, account='none', against='It is not.')\n"


def test_what_a_verdict_speaks_for_is_no_part_of_the_code(module):
    """Other words for what would be against a claim change no verdict; a threshold does."""
    head = "def Claim(**fields):\n    return fields\n\n\n" + PLAIN.split("\n\n", 1)[1]
    digest = definitions.code(module(head + CLAIMED))
    same = CLAIMED.replace("It is not.", "No.").replace("'none'", "'capacity'")
    assert definitions.code(module(head + same)) == digest
    other = CLAIMED.replace("0.5", "0.6")
    assert definitions.code(module(head + other)) != digest


def test_code_behind_what_is_imported_counts(module, monkeypatch, tmp_path):
    name = "rare_retention.evidence.made_up"
    helper = types.ModuleType(name)
    monkeypatch.setitem(sys.modules, name, helper)
    text = f"from {name} import f\n\n\ndef compute(results):\n    return f(results)\n"
    helper.f, digests = len, []
    for number in (1, 2):
        file = tmp_path / "made_up.py"
        file.write_text(f"def f(results):\n    return {number}\n")
        helper.__file__ = str(file)
        digests.append(definitions.code(module(text)))
    assert digests[0] != digests[1]


def test_arguments_of_a_partial_count(module):
    compute = module(PLAIN)
    first, second = (definitions.code(functools.partial(compute, width=w)) for w in (1, 2))
    assert first != second


def test_every_claim_has_a_definition_of_its_own():
    found = {name: definitions.definition(each) for name, each in CLAIMS.items()}
    assert len({str(each) for each in found.values()}) == len(CLAIMS)
    assert all(len(each["code"]) == 16 for each in found.values())


def test_what_is_written_first_stays(monkeypatch):
    monkeypatch.setattr("time.gmtime", lambda: (2030, 1, 2, 3, 4, 5, 0, 0, 0))
    first = definitions.fixed({}, [claim()], begun=False)
    assert first["c"]["when"] == definitions.BEFORE and first["c"]["written"].startswith("2030-01")
    again = definitions.fixed(first, [claim(threshold=0.1)], begun=True)
    assert again == first
    assert definitions.note(first, claim()) == ""


def test_what_changed_or_came_late_is_said():
    early = definitions.fixed({}, [claim()], begun=False)
    assert definitions.note({}, claim()) == "explored: its definition was not written down"
    changed = definitions.note(early, claim(threshold=0.1))
    assert changed.startswith("explored: changed since 20") and changed.endswith(
        ": threshold: 0.5 -> 0.1"
    )
    assert definitions.note(early, claim(compute=max)).endswith(": the code that computes it")
    check = definitions.note(early, claim(kind="check"))
    assert check.endswith(": kind: 'claim' -> 'check'")
    older = {"c": {name: value for name, value in early["c"].items() if name != "kind"}}
    assert definitions.note(older, claim()) == ""
    late = definitions.fixed({}, [claim()], begun=True)
    assert definitions.note(late, claim()).endswith(", after runs had begun")
