"""What the annotation of a configuration's field allows: in types, in words, and read from text."""

import ast
import dataclasses
import difflib
import functools
import json
import math
import operator
import re
import types
import typing
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pydantic
from pydantic.dataclasses import is_pydantic_dataclass

from rare_retention.registry import Registry, registry_of

# Defaults are validated too, so that a float field written as 1 holds 1.0 and fingerprints alike.
STRICT = pydantic.ConfigDict(
    strict=True, extra="forbid", validate_default=True, allow_inf_nan=False
)

_NOUNS = {
    int: "an integer",
    float: "a number",
    str: "a string",
    bool: "a boolean",
    types.NoneType: "None",
}

_WORDS = {
    "true": True,
    "false": False,
    "none": None,
    "null": None,
    "nan": math.nan,
    "inf": math.inf,
    "-inf": -math.inf,
}


def is_config(cls: Any) -> bool:
    """Whether `cls` is a configuration class."""
    return isinstance(cls, type) and is_pydantic_dataclass(cls)


def fields_of(cls: Any) -> dict[str, Any]:
    """Annotations of a configuration class by field."""
    hints = typing.get_type_hints(cls, include_extras=True)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls)}


def members(annotation: Any) -> list[Any]:
    """The alternatives of a union but None, those of a registry, or the annotation alone."""
    if (registry := registry_of(annotation)) is not None:
        return list(registry.classes)
    if get_origin(annotation) is Annotated:
        return members(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return [member for argument in get_args(annotation) for member in members(argument)]
    return [] if annotation is types.NoneType else [annotation]


def registries(annotation: Any) -> list[Registry]:
    """The registries that an annotation names, at any depth of tuples and unions."""
    own = registry_of(annotation)
    if own is not None:
        return [own]
    return [found for part in get_args(annotation) for found in registries(part)]


def configs_in(annotation: Any) -> list[Any]:
    """Configuration classes that an annotation names, at any depth of tuples and unions."""
    if is_config(annotation):
        return [annotation]
    parts = members(annotation) if registry_of(annotation) else get_args(annotation)
    return [found for part in parts for found in configs_in(part)]


def groups(annotation: Any) -> list[Any]:
    """The configuration classes that an annotation allows."""
    return [member for member in members(annotation) if is_config(member)]


def tag(annotation: Any) -> str:
    """Name of the field that tells the configurations of a union apart."""
    found = registries(annotation)
    return found[0].tag if found else "kind"


def kinds(annotation: Any) -> dict[str, Any]:
    """The members of a union of configurations by what their `tag` may be."""
    name = tag(annotation)
    return {kind: cls for cls in groups(annotation) for kind in get_args(fields_of(cls).get(name))}


def kind(annotation: Any) -> Any:
    """The annotation that allows any `tag` of a union of configurations."""
    each = (fields_of(cls)[tag(annotation)] for cls in groups(annotation))
    return functools.reduce(operator.or_, each)


def child(annotation: Any, name: str | int) -> Any:
    """Annotation of a field of a configuration, or of an element of a tuple."""
    for member in members(annotation):
        if is_config(member) and name in fields_of(member):
            return fields_of(member)[str(name)]
        if get_origin(member) is tuple and isinstance(name, int):
            arguments = get_args(member)
            return arguments[0] if arguments[-1] is Ellipsis else arguments[name]
    return Any


def fits(annotation: Any, value: Any) -> bool:
    """Whether a value, or the list standing for a tuple, passes validation."""
    # Inside a tuple, since pydantic takes no settings for a configuration class itself.
    wrapped: Any = types.GenericAlias(tuple, (annotation,))
    try:
        pydantic.TypeAdapter(wrapped, config=STRICT).validate_json(json.dumps([value]))
    except (TypeError, ValueError):
        return False
    return True


def read(annotation: Any, text: str) -> Any:
    """The first reading of a text that fits the annotation, else the likeliest one."""
    likeliest = _literal(text)
    readings = [likeliest, text]
    if any(get_origin(member) is tuple for member in members(annotation)):
        parts = [part.strip() for part in text.strip().strip("()[]").split(",")]
        parts = parts if parts[-1] else parts[:-1]
        readings += [[_literal(part) for part in parts], parts]
        if len(parts) > 1 and isinstance(likeliest, str):
            likeliest = readings[2]
    return next((reading for reading in readings if fits(annotation, reading)), likeliest)


def _literal(text: str) -> Any:
    """The text as a Python literal; as it stands if it is none, or a string."""
    word = text.strip()
    if word.lower() in _WORDS:
        return _WORDS[word.lower()]
    try:
        value = ast.literal_eval(word)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text
    return text if isinstance(value, str) else value


def wrong(annotation: Any, value: Any) -> str:
    """A message such as `expected an integer, got 64.0 (did you mean 64?)`."""
    hint = next((f" (did you mean {show(guess)}?)" for guess in _guesses(annotation, value)), "")
    return f"expected {expected(annotation)}, got {show(value)}{hint}"


def _guesses(annotation: Any, value: Any) -> Iterator[Any]:
    literals = [m for member in members(annotation) for m in get_args(member) if isinstance(m, str)]
    guesses: list[Any] = difflib.get_close_matches(str(value), literals, 1)
    if isinstance(value, list):
        guesses.append(tuple(value))
    elif isinstance(value, str):
        guesses.append(_literal(value))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        guesses.append(str(value))
        if isinstance(value, float) and value.is_integer():
            guesses.append(int(value))
        if value in (0, 1):
            guesses.append(bool(value))
    return (guess for guess in guesses if fits(annotation, guess))


def expected(annotation: Any) -> str:
    """An annotation in words, such as `a tuple (integer, ...) or None`."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        alternatives = [expected(m) for m in members(annotation)]
        return " or ".join(alternatives) or expected(arguments[0])
    if origin in (Union, types.UnionType):
        return " or ".join(map(expected, arguments))
    if origin is Literal:
        return " or ".join(map(repr, arguments))
    if origin is tuple:
        nouns = ["..." if argument is Ellipsis else expected(argument) for argument in arguments]
        return f"a tuple ({', '.join(re.sub('^an? ', '', noun) for noun in nouns)})"
    return _NOUNS.get(annotation) or str(getattr(annotation, "__name__", annotation))


def show(value: Any) -> str:
    """A value's repr on one line, cut to sixty characters."""
    text = re.sub(r"\s*\n\s*", " ", repr(value))
    return text if len(text) <= 60 else f"{text[:57]}..."
