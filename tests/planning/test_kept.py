"""Answers of compilers, kept."""

import pytest
from made_plans import compiled

from rare_retention.planning import ahead, kept
from rare_retention.planning.topology import parse

V5E = parse("v5e:2x2")


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """Requests that a compiler was asked, in a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    requests = []

    def compile_program(request, topology, limit):
        requests.append(request)
        return compiled(len(requests))

    monkeypatch.setattr(ahead, "compile_program", compile_program)
    return requests


def test_the_same_is_compiled_once(asked):
    first = kept.kept({"program": "run"}, V5E, None)
    assert kept.kept({"program": "run"}, V5E, None) == first
    assert kept.kept({"program": "advance"}, V5E, None) != first
    assert len(asked) == 2


def test_other_versions_and_other_sources_are_compiled_again(asked, monkeypatch):
    kept.kept({"program": "run"}, V5E, None)
    monkeypatch.setattr(kept, "_versions", lambda: {"jax": "0"})
    kept.kept({"program": "run"}, V5E, None)
    monkeypatch.setattr(kept, "_source", lambda: "other")
    kept.kept({"program": "run"}, V5E, None)
    assert len(asked) == 3


def test_a_damaged_answer_is_asked_for_again(asked, tmp_path):
    kept.kept({"program": "run"}, V5E, None)
    (path,) = tmp_path.rglob("*.json")
    path.write_text("{")
    kept.kept({"program": "run"}, V5E, None)
    assert len(asked) == 2


def test_an_answer_is_whole_after_it_was_kept():
    own = compiled(7)._replace(cycles=5)
    assert kept.from_json(kept.to_json(own)) == own
