"""Open choices: what a field may hold is a list to which a file of the user's own can add.

Example:
    RULES = Registry("rule")
    AnyRule = Annotated[Rule, RULES]  # as the annotation of a field

    @RULES.add
    @config
    class Mine(Rule):
        kind: Literal["mine"] = "mine"

A configuration that is added can be given wherever the annotation stands: as an object, in JSON and
on the command line, where `kind` says which one is meant.
"""

import functools
import importlib
import operator
import pkgutil
import typing
from collections.abc import Callable
from typing import Annotated, Any, TypeVar, get_args

import pydantic
import pydantic_core

C = TypeVar("C", bound=type[Any])


class Registry:
    """The configuration classes that a field may hold, told apart by one field of theirs.

    Attributes:
        noun: what they are, for messages.
        tag: name of that field.
    """

    def __init__(self, noun: str, tag: str = "kind") -> None:
        self.noun = noun
        self.tag = tag
        self._classes: dict[str, type[Any]] = {}
        self._rebuilds: list[Callable[[], None]] = []

    @property
    def classes(self) -> tuple[type[Any], ...]:
        """All of them, in the order in which they were added."""
        return tuple(dict.fromkeys(self._classes.values()))

    def add(self, cls: C) -> C:
        """Adds a configuration class; the decorator of its definition.

        A class of the same name from the same file replaces the earlier one: a file may be run
        again.

        Raises:
            TypeError: it has no such field, or another class has the same.
        """
        kinds = get_args(typing.get_type_hints(cls).get(self.tag))
        if not kinds:
            raise TypeError(f"{cls.__name__}: a {self.noun} needs a field {self.tag}: Literal[...]")
        for kind in kinds:
            other = self._classes.get(kind)
            if other is not None and _origin(other) != _origin(cls):
                raise TypeError(
                    f"{cls.__name__}: the {self.tag} {kind!r} is that of another {self.noun}, "
                    f"{other.__module__}.{other.__name__}"
                )
            self._classes[kind] = cls
        for rebuild in self._rebuilds:
            rebuild()
        return cls

    def when_added(self, rebuild: Callable[[], None]) -> None:
        """Has a function called after each class that is added, in the order of these calls.

        Pydantic makes the validator of a configuration once: those with this annotation among their
        fields, or the fields of these, are made again when there is more to choose from.
        """
        self._rebuilds.append(rebuild)

    def __get_pydantic_core_schema__(
        self, source: Any, handler: pydantic.GetCoreSchemaHandler
    ) -> pydantic_core.CoreSchema:
        """One of the classes, chosen by the tag."""
        if not self._classes:
            return pydantic_core.core_schema.is_instance_schema(source)
        if len(self.classes) == 1:
            return handler.generate_schema(self.classes[0])
        union: Any = functools.reduce(operator.or_, self.classes)
        return handler.generate_schema(Annotated[union, pydantic.Field(discriminator=self.tag)])


def _origin(cls: type[Any]) -> tuple[str, str]:
    return cls.__module__, cls.__qualname__


def registry_of(annotation: Any) -> Registry | None:
    """The registry of an `Annotated[...]`, if it has one."""
    return next((m for m in get_args(annotation)[1:] if isinstance(m, Registry)), None)


def import_all(name: str, path: list[str]) -> None:
    """Imports every module of a package, so that each adds what it defines.

    Args:
        name: of the package.
        path: its `__path__`.
    """
    for module in pkgutil.iter_modules(path, f"{name}."):
        importlib.import_module(module.name)
