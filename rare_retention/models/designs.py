"""All designs of language models: what a config may choose, and how each is published.

Every module of this folder whose name ends in `_shape` adds its own; a file of the user's may too.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from typing import Annotated

from rare_retention import models
from rare_retention.models.architecture import DESIGNS, Architecture, Design
from rare_retention.models.layouts import Layout

for module in pkgutil.iter_modules(models.__path__, f"{models.__name__}."):
    if module.name.endswith("_shape"):
        importlib.import_module(module.name)

AnyDesign = Annotated[Design, DESIGNS]
"""Every architecture that a config may choose, without its dimensions."""


def layouts() -> dict[str, Layout]:
    """Every layout in which a model can be published, by `model_type` in `config.json`."""
    return {kind: own for shape in shapes() for kind, own in shape.published().items()}


def shapes(of: type[Architecture] = Architecture) -> Iterator[type[Architecture]]:
    """The classes of architectures with their dimensions: all heirs of one that say all they must.

    Args:
        of: whose heirs.
    """
    for heir in of.__subclasses__():
        if not inspect.isabstract(heir):
            yield heir
        yield from shapes(heir)
