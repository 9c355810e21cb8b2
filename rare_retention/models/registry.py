"""All architectures of language models: the one list that a new one has to be entered in."""

from typing import Annotated

from pydantic import Field

from rare_retention.models.architecture import Architecture, Family
from rare_retention.models.layouts import Layout
from rare_retention.models.llama_shape import Llama, LlamaShape, Olmo2
from rare_retention.models.olmo_shape import Olmo, OlmoShape

AnyFamily = Annotated[Olmo | Olmo2 | Llama, Field(discriminator="kind")]
"""Every architecture that a config may choose, without its dimensions."""

ARCHITECTURES: dict[str, type[Family]] = {"olmo": Olmo, "olmo2": Olmo2, "llama": Llama}
"""The same by their kind."""

SHAPES: tuple[type[Architecture], ...] = (OlmoShape, LlamaShape)
"""The classes of architectures with their dimensions."""

LAYOUTS: dict[str, Layout] = {
    kind: layout for shape in SHAPES for kind, layout in shape.published().items()
}
"""Every layout in which a model can be published, by `model_type` in `config.json`."""
