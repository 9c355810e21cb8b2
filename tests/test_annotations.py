"""What the annotation of a field allows, read from text and put into words."""

from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from rare_retention import annotations
from rare_retention.config import config


@config
class Even:
    kind: Literal["even"] = "even"
    gap: int = 1


@config
class Burst:
    kind: Literal["burst"] = "burst"
    pair: tuple[int, str] = (1, "a")
    widths: tuple[float, ...] = ()


Either = Annotated[Even | Burst | None, Field(discriminator="kind")]


def test_a_configuration_knows_its_fields() -> None:
    assert annotations.is_config(Even) and not annotations.is_config(Even())
    assert not annotations.is_config(int)
    assert list(annotations.fields_of(Burst)) == ["kind", "pair", "widths"]
    assert annotations.fields_of(Even)["gap"] is int


def test_the_members_of_a_union_are_its_alternatives_but_none() -> None:
    assert annotations.members(Either) == [Even, Burst]
    assert annotations.members(int | Annotated[str, "text"]) == [int, str]
    assert annotations.members(tuple[int, ...]) == [tuple[int, ...]]
    assert annotations.groups(int | Even | None) == [Even]


def test_a_kind_names_its_class() -> None:
    assert annotations.kinds(Even | Burst) == {"even": Even, "burst": Burst}
    assert annotations.expected(annotations.kind(Even | Burst)) == "'even' or 'burst'"


@pytest.mark.parametrize(
    ("annotation", "name", "expected"),
    [
        (Either, "gap", int),
        (Either, "widths", tuple[float, ...]),
        (tuple[float, ...], 7, float),
        (tuple[int, str], 1, str),
        (Either, "unknown", Any),
        (tuple[Even, ...], "gap", Any),
    ],
)
def test_the_annotation_of_a_field_or_an_element(annotation: Any, name: Any, expected: Any) -> None:
    assert annotations.child(annotation, name) == expected


@pytest.mark.parametrize(
    ("annotation", "value", "fitting"),
    [
        (int, 3, True),
        (int, 3.0, False),
        (int, True, False),
        (float, 3, True),
        (float, float("nan"), False),
        (str, 3, False),
        (tuple[int, ...], [1, 2], True),
        (tuple[int, str], [1, 2], False),
        (Either, {"kind": "even", "gap": 2}, True),
        (Either, {"kind": "even", "gpa": 2}, False),
        (int, object(), False),
    ],
)
def test_a_value_fits_as_it_is_or_not_at_all(annotation: Any, value: Any, fitting: bool) -> None:
    assert annotations.fits(annotation, value) is fitting


@pytest.mark.parametrize(
    ("annotation", "text", "value"),
    [
        (int, "64", 64),
        (str, "64", "64"),
        (str, "'64'", "'64'"),
        (str, "none", "none"),
        (str | None, "none", None),
        (bool, "TRUE", True),
        (float, "1e-3", 1e-3),
        (tuple[int, ...], "3", [3]),
        (tuple[int, ...], "3, 4,", [3, 4]),
        (tuple[str, ...], "[a, b]", ["a", "b"]),
        (tuple[int, str], "1,b", [1, "b"]),
        # What fits nothing is the likeliest reading, for the message.
        (int, "6.5", 6.5),
        (tuple[int, ...], "1,x", [1, "x"]),
        (int, "9 +", "9 +"),
    ],
)
def test_a_text_is_read_as_what_its_field_allows(annotation: Any, text: str, value: Any) -> None:
    read = annotations.read(annotation, text)
    assert (list(read) if isinstance(read, tuple) else read) == value


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (int, "an integer"),
        (bool | None, "a boolean or None"),
        (Annotated[float, Field(gt=0)], "a number"),
        (Literal["a", 3], "'a' or 3"),
        (tuple[int, ...] | None, "a tuple (integer, ...) or None"),
        (tuple[float, str], "a tuple (number, string)"),
        (Even | None, "Even or None"),
    ],
)
def test_an_annotation_in_words(annotation: Any, words: str) -> None:
    assert annotations.expected(annotation) == words


@pytest.mark.parametrize(
    ("annotation", "value", "hint"),
    [
        (Literal["iid", "even"], "evn", "'even'"),
        (int, 64.0, "64"),
        (int, "64", "64"),
        (str, 3, "'3'"),
        (bool, 0, "False"),
        (tuple[int, ...], [1, 2], "(1, 2)"),
    ],
)
def test_a_near_miss_is_met_with_what_would_fit(annotation: Any, value: Any, hint: str) -> None:
    assert annotations.wrong(annotation, value).endswith(f", got {value!r} (did you mean {hint}?)")


def test_a_value_without_a_near_one_has_no_hint() -> None:
    assert annotations.wrong(int, 6.5) == "expected an integer, got 6.5"


def test_a_shown_value_is_one_short_line() -> None:
    class Lines:
        def __repr__(self) -> str:
            return "a\n   b"

    assert annotations.show(Lines()) == "a b"
    assert annotations.show("x" * 58) == repr("x" * 58)
    assert annotations.show("x" * 59) == f"'{'x' * 56}..."
