"""Choices that can be added to, through the configurations whose fields hold them."""

from typing import Annotated, Literal

import pytest

from rare_retention.config import ConfigError, config, from_dict, from_json, override, to_json
from rare_retention.registry import Registry, import_all, registry_of


@pytest.fixture
def made():
    """A registry with one class, and a config whose field's field chooses from it."""
    registry = Registry("rule")

    @config
    class Base:
        weight: float = 1.0

    @registry.add
    @config
    class First(Base):
        kind: Literal["first"] = "first"

    @config
    class Run:
        rule: Annotated[Base, registry] | None = None
        others: tuple[Annotated[Base, registry], ...] = ()

    @config
    class Study:
        run: Run = Run()

    return registry, Base, First, Run, Study


def add(registry, base, name="second", bases=()):
    @registry.add
    @config
    class Second(base):
        kind: Literal[name] = name
        count: int = 2

    return Second


def test_what_is_added_later_can_be_given_wherever_the_annotation_stands(made):
    """As an object, in JSON and as an override; also in a config that holds the config."""
    registry, base, first, run, study = made
    with pytest.raises(ConfigError, match="'first', got 'second'"):
        override(study(), {"run.rule.kind": "second"})
    second = add(registry, base)
    assert registry.classes == (first, second)
    tree = study(run=run(rule=second(count=5), others=(first(), second())))
    assert from_json(study, to_json(tree)) == tree
    changed = override(study(), {"run.rule.kind": "second", "run.rule.count": "7"})
    assert changed.run.rule == second(count=7)


def test_a_registry_of_one_names_its_fields_too(made):
    *_, study = made
    data = {"run": {"rule": {"kind": "first", "wieght": 2.0}}}
    with pytest.raises(ConfigError, match=r"run.rule.wieght: no such field; did you mean"):
        from_dict(study, data)


def test_mistakes_are_one_line_that_says_what_there_is(made):
    registry, base, _, run, study = made
    add(registry, base)
    for changes, message in (
        ({"run.rule.kind": "third"}, "run.rule.kind: expected 'first' or 'second', got 'third'"),
        (
            {"run.rule.kind": "second", "run.rule.counts": "1"},
            "run.rule.counts: no such field; did you mean run.rule.count?",
        ),
        (
            {"run.rule.kind": "second", "run.rule.count": "x"},
            "run.rule.count: expected an integer, got 'x'",
        ),
    ):
        with pytest.raises(ConfigError) as caught:
            override(study(), changes)
        assert str(caught.value) == message
    with pytest.raises(ConfigError, match="rule: expected First or Second or None, got "):
        run(rule=base())


def test_a_kind_has_one_class(made):
    """Another class of that name is refused; the same file may be run again."""
    registry, base, *_ = made
    add(registry, base)
    again = add(registry, base)
    assert registry.classes[-1] is again
    with pytest.raises(TypeError, match="the kind 'first' is that of another rule, "):
        add(registry, base, "first")
    with pytest.raises(TypeError, match="a rule needs a field kind"):
        registry.add(base)


def test_an_annotation_knows_its_registry(made):
    registry, base, *_ = made
    assert registry_of(Annotated[base, registry]) is registry
    assert registry_of(Annotated[int, "seconds"]) is None is registry_of(int)


def test_every_module_of_a_package_is_imported(tmp_path, monkeypatch):
    (tmp_path / "toys_xyz").mkdir()
    (tmp_path / "toys_xyz" / "__init__.py").write_text("SEEN = []\n")
    for name in "ab":
        (tmp_path / "toys_xyz" / f"{name}.py").write_text(
            f"from toys_xyz import SEEN\n\nSEEN.append({name!r})\n"
        )
    monkeypatch.syspath_prepend(tmp_path)
    import toys_xyz

    import_all("toys_xyz", toys_xyz.__path__)
    assert toys_xyz.SEEN == ["a", "b"]
