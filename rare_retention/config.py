"""Configurations: frozen dataclass trees, checked when built, exact in JSON.

Example:
    @config
    class Student:
        kind: Literal["student"] = "student"
        width: int = 64

        def __post_init__(self) -> None:
            if self.width > 256:
                raise ConfigError("width", f"{self.width} is larger than inputs = 256")

Fields are int, float, bool, str, Literal, None, other configurations, tuples and unions of these.
A union of configurations is told apart by a field `kind`: `Annotated[A | B,
Field(discriminator="kind")]`, or `Annotated[Base, registry]` where more can be added. Types are
strict: "64" is no int, 1 no bool, a list no tuple; an int passes for a float; NaN and infinity pass
only `Annotated[float, Field(allow_inf_nan=True)]`. Every error is a `ConfigError` of one line.
"""

import dataclasses
import difflib
import functools
import hashlib
import json
import re
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, TypeVar, cast, get_args

import pydantic

from rare_retention import annotations
from rare_retention.errors import ConfigError
from rare_retention.registry import Registry

__all__ = [
    "TAGS",
    "Above0",
    "ConfigError",
    "From0",
    "Natural",
    "Positive",
    "config",
    "difference",
    "fields",
    "fingerprint",
    "from_dict",
    "from_json",
    "override",
    "to_dict",
    "to_json",
    "without",
]

T = TypeVar("T")

Name = str | int

LARGEST = 2**31 - 1
"""Of whole numbers: steps, counts and ids are int32 on the devices, where larger ones wrap."""

Positive = Annotated[int, pydantic.Field(ge=1, le=LARGEST)]
"""A whole number from 1 to `LARGEST`."""

Natural = Annotated[int, pydantic.Field(ge=0, le=LARGEST)]
"""A whole number from 0 to `LARGEST`."""

Above0 = Annotated[float, pydantic.Field(gt=0)]
"""A positive number."""

From0 = Annotated[float, pydantic.Field(ge=0)]
"""A number that is not negative."""

_RANGES: dict[str, tuple[str, Callable[[Any], str]]] = {
    "greater_than_equal": ("ge", "at least {:.12g}".format),
    "greater_than": ("gt", lambda limit: f"above {limit:.12g}" if limit else "a positive number"),
    "less_than_equal": ("le", "at most {:.12g}".format),
    "less_than": ("lt", "below {:.12g}".format),
}
"""Pydantic's name of a range that a value is out of -> the limit's, and what was expected."""

TAGS = ("kind", "placement")
"""Fields that say which configuration of several a group is, and so which fields there are."""


@typing.dataclass_transform(
    frozen_default=True,
    kw_only_default=True,
    field_specifiers=(dataclasses.field, pydantic.Field),
)
def config(cls: type[T]) -> type[T]:
    """Makes `cls` a frozen, keyword-only, strictly validated dataclass.

    Raises:
        TypeError: A union of configurations has members without a field `kind`.
    """
    built: Any = pydantic.dataclasses.dataclass(
        frozen=True, kw_only=True, config=annotations.STRICT
    )(cls)
    _explain_errors(built)
    for name, annotation in annotations.fields_of(built).items():
        classes = annotations.groups(annotation)
        tag = annotations.tag(annotation)
        if len(classes) > 1 and any(tag not in annotations.fields_of(c) for c in classes):
            raise TypeError(f"{cls.__name__}.{name}: each class of a union needs a field {tag}")
    built.__registries__ = _registries(built)
    for registry in built.__registries__:
        registry.when_added(functools.partial(_rebuild, built))
    return cast(type[T], built)


def _explain_errors(built: Any) -> None:
    """Has a class say in one line what is wrong with the values that it is given."""
    validate = built.__init__

    @functools.wraps(validate)
    def __init__(self: Any, *args: Any, **values: Any) -> None:
        if args:
            raise TypeError(f"{built.__name__} takes its fields by name, as in field=value")
        try:
            validate(self, **values)
        except pydantic.ValidationError as error:
            problem = _explain(built, error, values)
            raise problem from problem.__cause__

    built.__init__ = __init__


def _rebuild(built: Any) -> None:
    pydantic.dataclasses.rebuild_dataclass(built, force=True)
    _explain_errors(built)


def _registries(cls: Any) -> list[Registry]:
    """Registries from which the fields of a class choose, or the fields of its fields."""
    found: list[Registry] = []
    for annotation in annotations.fields_of(cls).values():
        found += annotations.registries(annotation)
        for inner in annotations.configs_in(annotation):
            found += inner.__registries__
    return list(dict.fromkeys(found))


def to_dict(tree: Any) -> dict[str, Any]:
    """The tree as plain JSON values: dicts, lists, numbers, strings, booleans and None."""
    return cast(dict[str, Any], json.loads(to_json(tree)))


def to_json(tree: Any) -> str:
    """The tree as indented JSON, which `from_json` turns into an equal tree."""
    return json.dumps(dataclasses.asdict(tree), indent=2)


def from_dict(cls: type[T], data: Any) -> T:
    """Builds a `cls` from plain JSON values; fields left out take their defaults."""
    try:
        return pydantic.TypeAdapter(cls).validate_json(json.dumps(data))
    except pydantic.ValidationError as error:
        problem = _explain(cls, error, data)
        raise problem from problem.__cause__


def from_json(cls: type[T], text: str) -> T:
    """Builds a `cls` from JSON text."""
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError("", f"not valid JSON: {error}") from None
    return from_dict(cls, data)


def fingerprint(tree: Any) -> str:
    """First 16 hexadecimal digits of the SHA-256 of a tree, or its dict, as canonical JSON."""
    data = tree if isinstance(tree, Mapping) else to_dict(tree)
    text = json.dumps(data, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def without(tree: Mapping[str, Any], later: Mapping[str, Any]) -> dict[str, Any]:
    """A dict but for the names that have these values in it.

    Args:
        tree: of JSON values.
        later: what is left out: name -> value.
    """
    return {k: v for k, v in tree.items() if k not in later or v != later[k]}


class _Absent:
    def __repr__(self) -> str:
        return "absent"


def difference(a: Any, b: Any) -> list[str]:
    """Lines such as `run.batch: 64 -> 128`, one for each place where nested dicts differ.

    Args:
        a: the first, left of the arrow; a name that it lacks is "absent" there.
        b: the second.
    """
    return list(_difference("", a, b))


def _difference(path: str, a: Any, b: Any) -> Iterator[str]:
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        for key in dict.fromkeys([*a, *b]):
            yield from _difference(_path([path, key]), a.get(key, _Absent()), b.get(key, _Absent()))
    elif isinstance(a, list | tuple) and isinstance(b, list | tuple) and len(a) == len(b):
        for index, (left, right) in enumerate(zip(a, b, strict=True)):
            yield from _difference(_path([path, index]), left, right)
    elif repr(a) != repr(b):  # 1 and 1.0 have different fingerprints, so they differ here too
        yield f"{path}: {annotations.show(a)} -> {annotations.show(b)}"


def fields(tree: Any) -> dict[str, Any]:
    """Every leaf by its dotted path; a tuple is one leaf unless it holds configurations."""
    return dict(_fields("", tree))


def _fields(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if annotations.is_config(type(value)):
        for field in dataclasses.fields(value):
            yield from _fields(_path([path, field.name]), getattr(value, field.name))
    elif isinstance(value, tuple) and any(annotations.is_config(type(item)) for item in value):
        for index, item in enumerate(value):
            yield from _fields(_path([path, index]), item)
    else:
        yield path, value


def override(tree: T, changes: Mapping[str, Any]) -> T:
    """The tree with fields set from text or values; all are changed, then validated once.

    A text is read as a Python literal (`true`, `false`, `none`, `null` in any case; a tuple also as
    `1,2`); a str field takes it as it stands. Numbers, booleans, None and tuples of plain values
    are taken as they are. A new `kind`, or `placement`, first resets its group of fields to the
    defaults of that kind; a group that is None is first built from its defaults.

    Args:
        tree: A configuration.
        changes: Text or value by dotted path, such as `{"run.student.width": "64"}`.

    Raises:
        ConfigError: There is no such field, a value does not fit it, or a `__post_init__` refuses.
    """
    data = to_dict(tree)
    paths = list(fields(tree))
    # A group goes before its fields, and its kind before all, since it says which fields there are.
    for path in sorted(changes, key=lambda p: (p.rpartition(".")[2] not in TAGS, p.count("."))):
        _place(type(tree), data, path, changes[path], paths)
    return from_dict(type(tree), data)


def _place(annotation: Any, node: Any, path: str, given: Any, paths: Sequence[str]) -> None:
    """Sets one leaf in the plain values `node` of a tree."""
    names: list[Name] = [int(n) if n.isdecimal() else n for n in re.findall(r"[^.\[\]]+", path)]
    if not names or _path(names) != path:
        raise _unknown([path], 0, annotations.fields_of(annotation), paths)
    for depth, name in enumerate(names[:-1]):
        annotation = _step(annotation, node, names, depth, paths)
        if not isinstance(_get(node, name), dict | list):
            classes = annotations.groups(annotation)
            node[name] = _defaults(classes[0]) if len(classes) == 1 else {}
        node = node[name]
    tag = annotations.tag(annotation)
    if names[-1] == tag and len(annotations.groups(annotation)) > 1:
        kinds = annotations.kinds(annotation)
        if given not in kinds:
            raise ConfigError(path, annotations.wrong(annotations.kind(annotation), given))
        if kinds.get(node.get(tag)) is not kinds[given]:
            node.clear()
            node.update(_defaults(kinds[given], **{tag: given}))
        node[tag] = given
    else:
        annotation = _step(annotation, node, names, len(names) - 1, paths)
        value = _value(annotation, given, path)
        inside = isinstance(value, tuple) and any(isinstance(item, dict) for item in value)
        # Groups go into a list, so that a later change may reach their fields.
        node[names[-1]] = list(value) if inside else value


def _step(
    annotation: Any, node: Any, names: Sequence[Name], depth: int, paths: Sequence[str]
) -> Any:
    """Annotation of what stands under `names[depth]` in the dict or list `node`."""
    here = _here(annotation, node, _path([*names[:depth], annotations.tag(annotation)]))
    if names[depth] not in here:
        raise _unknown(names, depth, here, paths)
    return here[names[depth]]


def _here(annotation: Any, node: Any, kind_path: str) -> dict[Any, Any]:
    """Annotations of all that may stand in the dict or list `node`."""
    if isinstance(node, list):
        return {index: annotations.child(annotation, index) for index in range(len(node))}
    classes = annotations.groups(annotation)
    if len(classes) < 2:
        return annotations.fields_of(classes[0]) if classes else {}
    kinds, tag = annotations.kinds(annotation), annotations.tag(annotation)
    if node.get(tag) not in kinds:
        kind = annotations.expected(annotations.kind(annotation))
        raise ConfigError(kind_path, f"required: {kind}")
    return annotations.fields_of(kinds[node[tag]])


def _defaults(cls: Any, **given: str) -> dict[str, Any]:
    try:
        return to_dict(cls(**given))
    except ConfigError:  # a required field, which another change may give
        return dict(given)


def _value(annotation: Any, given: Any, path: str) -> Any:
    value = annotations.read(annotation, given) if isinstance(given, str) else given
    classes = annotations.groups(annotation)
    if classes and not isinstance(value, dict) and not annotations.fits(annotation, value):
        example = _path([path, next(iter(annotations.fields_of(classes[0])))])
        raise ConfigError(path, f"a group of fields: set one of them, as in {example}=VALUE")
    return value


def _path(names: Iterable[Name]) -> str:
    """The dotted path of names and indices, `run.tasks[3].rate`."""
    path = ""
    for name in names:
        text = f"[{name}]" if isinstance(name, int) else name
        path += text if not path or text.startswith("[") else f".{text}"
    return path


def _get(node: Any, name: Name) -> Any:
    """What stands under a name or index in a dict, list or tuple; None where nothing does."""
    if isinstance(node, Mapping):
        return node.get(name)
    inside = isinstance(node, list | tuple) and isinstance(name, int) and name < len(node)
    return node[name] if inside else None


def _explain(cls: Any, error: pydantic.ValidationError, data: Any) -> ConfigError:
    """One error for all that pydantic found: the first in full, the others by name."""
    found: dict[str, ConfigError] = {}
    for detail in error.errors(include_url=False):
        problem = _problem(cls, detail, data)
        found.setdefault(problem.field, problem)
    first, *others = found.values()
    if not others:
        return first
    also = ", ".join(other.field for other in others)
    problem = ConfigError(first.field, f"{first.message}; also wrong: {also}")
    problem.__cause__ = first.__cause__
    return problem


def _problem(cls: Any, detail: Mapping[str, Any], data: Any) -> ConfigError:
    fault, place = detail["type"], list(detail["loc"])
    if fault == "unexpected_keyword_argument":
        names, owner, _ = _locate(cls, place[:-1], data)
        (group, *_) = annotations.groups(owner)
        return _unknown([*names, place[-1]], len(names), annotations.fields_of(group), ())
    if fault == "missing" and isinstance(place[-1], int):
        fault = "tuple_type"  # an element is missing: the tuple is too short
        place.pop()
    names, annotation, value = _locate(cls, place, data)
    path = _path(names)
    if fault in ("value_error", "assertion_error"):
        return _refusal(path, detail["ctx"]["error"])
    if fault == "missing":
        return ConfigError(path, f"required: {annotations.expected(annotation)}")
    if fault.startswith("union_tag_") and isinstance(value, Mapping):
        tag, kind = annotations.tag(annotation), annotations.kind(annotation)
        path = _path([path, tag])
        if tag not in value:
            return ConfigError(path, f"required: {annotations.expected(kind)}")
        return ConfigError(path, annotations.wrong(kind, value[tag]))
    if fault in _RANGES:
        limit = detail["ctx"][_RANGES[fault][0]]
        return ConfigError(path, f"expected {_RANGES[fault][1](limit)}, got {value!r}")
    if fault == "finite_number":
        return ConfigError(path, f"expected a finite number, got {value!r}")
    fixed = get_args(annotation)[-1:] != (Ellipsis,)
    if re.fullmatch(r".*_type|literal_error|union_tag_.*", fault) or (
        fault == "too_long" and fixed
    ):
        return ConfigError(path, annotations.wrong(annotation, value))
    message = detail["msg"].removeprefix("Input ")
    return ConfigError(path, f"{message}, got {annotations.show(value)}")


def _locate(cls: Any, place: Sequence[Name], data: Any) -> tuple[list[Name], Any, Any]:
    """Names, annotation and value of the place of an error, without the union members in it."""
    names: list[Name] = []
    annotation = cls
    for name in place:
        if len(annotations.members(annotation)) > 1:  # the name is a union member that was tried
            member = annotations.kinds(annotation).get(str(name))
            if member is None:
                break
            annotation = member
        else:
            names.append(name)
            annotation, data = annotations.child(annotation, name), _get(data, name)
    return names, annotation, data


def _refusal(path: str, error: Exception) -> ConfigError:
    """A ValueError of a `__post_init__`, with the path to its dataclass before its own field."""
    field = getattr(error, "field", "")
    message = getattr(error, "message", "") or str(error).removeprefix(f"{field}: ")
    problem = ConfigError(_path(filter(None, (path, field))), message)
    problem.__cause__ = error
    return problem


def _unknown(
    names: Sequence[Name], depth: int, here: Iterable[Name], paths: Sequence[str]
) -> ConfigError:
    """The error of `names[depth]` not being among the fields `here`."""
    siblings = list(map(str, here))
    tails = {path.rpartition(".")[2]: path for path in reversed(paths)}
    path, parent = _path(names), _path(names[:depth])
    if near := difflib.get_close_matches(str(names[depth]), siblings, 1):
        guess = _path([*names[:depth], near[0], *names[depth + 1 :]])
        if depth < len(names) - 1 and guess not in paths:
            guess = _path([*names[:depth], near[0]])
        hint = f"did you mean {guess}?"
    elif near := difflib.get_close_matches(str(names[-1]), tails, 1):
        hint = f"did you mean {tails[near[0]]}?"
    elif isinstance(names[depth], int):
        hint = f"{parent} has {len(siblings)} elements"
    elif siblings:
        hint = f"the fields here are {', '.join(siblings)}"
    else:
        hint = f"{parent} is not a group of fields"
    return ConfigError(path, f"no such field; {hint}")
