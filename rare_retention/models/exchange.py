"""Published models: folders of `config.json` and weights in safetensors files, read and written.

The weights stand in `model.safetensors`, or in several such files and an index of them.
"""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import safetensors
import safetensors.numpy
from etils import epath
from flax import nnx

from rare_retention.config import ConfigError
from rare_retention.errors import UserError
from rare_retention.models.architecture import Architecture, Compute
from rare_retention.models.designs import layouts
from rare_retention.models.layouts import Layout, Params, Places
from rare_retention.parallel import logical_names
from rare_retention.record.files import disk, read_json, write, write_json

CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"

_SHARD = 5_000_000_000  # bytes of weights in one file
_EXACT = ("F32", "BF16", "F16")  # types whose values float32 holds exactly


def load(folder: epath.Path) -> tuple[Architecture, Params]:
    """Reads a published model.

    Args:
        folder: of the model, in one of `models.designs.layouts`, local or gs://.

    Returns:
        Its architecture, and the pure dict of such a model with its weights, NumPy float32.

    Raises:
        UserError: there is no such model, its files are damaged, or it has something that our
            architecture lacks; the message names it.
    """
    path = folder / CONFIG
    if not path.exists():
        raise UserError(f"{folder}: holds no published model (there is no {CONFIG})")
    data = read_json(path)
    kind = data.get("model_type") if isinstance(data, dict) else None
    known = layouts()
    if kind not in known:
        names = ", ".join(map(repr, known))
        raise UserError(f"{path}: model_type {kind!r} is another architecture; expected {names}")
    layout = known[kind]
    data = {**layout.defaults, **data}
    shape = _architecture(layout, data, path)
    params = _empty(shape)
    places = layout.places(params)
    copied = layout.tied is not None and data[layout.tied]
    if copied:
        del places[layout.unembedding]
    _fill(folder, places)
    if copied:
        params["unembedding"][...] = params["embedding"]
    return shape, params


def save(folder: epath.Path, shape: Architecture, params: Params, window: int = 2048) -> None:
    """Writes a model in transformers' layout of its kind, in float32.

    `load` gives back the same bits.

    Args:
        folder: an empty one, or one that is to be made, local or gs://.
        shape: of the model.
        params: the pure dict of one such model.
        window: tokens of the sequences on which it was trained.

    Raises:
        UserError: something stands in the folder, or transformers has no such model.
    """
    layout = layouts()[shape.kind]
    if layout.config is None:
        raise UserError(f"models of kind {shape.kind!r} are read, but not written")
    config = layout.config(shape, window)
    with disk(folder):
        if folder.exists() and any(folder.iterdir()):
            raise UserError(f"{folder}: is not empty; choose a new folder")
    places = layout.places(jax.device_get(params))
    shards = _shards({name: sum(view.size for view in places[name]) * 4 for name in places})
    files = [f"model-{i + 1:05d}-of-{len(shards):05d}.safetensors" for i in range(len(shards))]
    if len(shards) == 1:
        files = [WEIGHTS]
    for file, names in zip(files, shards, strict=True):
        content = safetensors.numpy.save({n: _tensor(places[n]) for n in names}, {"format": "pt"})
        _write_bytes(folder / file, content)
    if len(shards) > 1:
        whose = {name: file for file, names in zip(files, shards, strict=True) for name in names}
        size = {"total_size": 4 * shape.parameters}
        write_json(folder / INDEX, {"metadata": size, "weight_map": whose})
    write_json(folder / CONFIG, config)  # last: without it there is no model


def _shards(sizes: Mapping[str, int]) -> list[list[str]]:
    """Names of tensors, in their order, in files of at most `_SHARD` bytes or of one tensor."""
    shards: list[list[str]] = [[]]
    held = 0
    for name, size in sizes.items():
        if shards[-1] and held + size > _SHARD:
            shards.append([])
            held = 0
        shards[-1].append(name)
        held += size
    return shards


def _tensor(views: tuple[np.ndarray, ...]) -> np.ndarray:
    return np.ascontiguousarray(np.concatenate(views), np.float32)


def _write_bytes(path: epath.Path, content: bytes) -> None:
    write(path, lambda file: file.write(content))


def _architecture(layout: Layout, data: Mapping[str, Any], path: epath.Path) -> Architecture:
    """The architecture in `config.json`.

    Raises:
        UserError: it is none that we have.
    """
    try:
        fixed, fields = layout.fixed(data), layout.fields(data)
    except KeyError as error:
        raise UserError(f"{path}: {error.args[0]}: required") from None
    for name, allowed in fixed.items():
        if data.get(name) not in allowed:
            usual = f"expected {allowed[0]!r}"
            raise UserError(f"{path}: {name} = {data.get(name)!r} is not supported; {usual}")
    try:
        return layout.shape(**fields)
    except ConfigError as error:
        raise ConfigError(error.field, error.message, str(path)) from error


def _empty(shape: Architecture) -> Params:
    """The pure dict of a model of that shape, float32, its weights not set."""
    with logical_names():
        model = nnx.eval_shape(lambda: shape.build(Compute(), nnx.Rngs(0)))
    return jax.tree.map(
        lambda leaf: np.empty(leaf.shape, np.float32), nnx.to_pure_dict(nnx.state(model))
    )


def _fill(folder: epath.Path, places: Places) -> None:
    """Reads the tensors of a folder into their places.

    Raises:
        UserError: one is missing, unknown, or of another shape or type.
    """
    missing = dict(places)
    for path in _files(folder):
        with _open(path) as tensors:
            for name in sorted(tensors.keys()):
                if name not in missing:
                    raise UserError(f"{path}: no place for tensor {name}; is {CONFIG} its own?")
                _read(path, tensors, name, missing.pop(name))
    if missing:
        first, *others = missing
        also = f" and {len(others)} others" if others else ""
        raise UserError(f"{folder}: there is no tensor {first}{also}; is {CONFIG} its own?")


def _files(folder: epath.Path) -> list[epath.Path]:
    """Files of weights in a folder."""
    names = [WEIGHTS]
    if (folder / INDEX).exists():
        index = read_json(folder / INDEX)
        if not isinstance(index.get("weight_map"), dict):
            raise UserError(f"{folder / INDEX}: names no files (there is no weight_map)")
        names = sorted(set(index["weight_map"].values()))
    for name in names:
        if not (folder / name).exists():
            raise UserError(f"{folder}: there is no {name}; other formats are not read")
    return [folder / name for name in names]


@contextlib.contextmanager
def _open(path: epath.Path) -> Iterator[Any]:
    """An open safetensors file; one on another machine is first copied here."""
    with contextlib.ExitStack() as stack:
        local = path
        if "://" in str(path):
            local = epath.Path(stack.enter_context(tempfile.TemporaryDirectory())) / path.name
            with path.open("rb") as far, local.open("wb") as near:
                shutil.copyfileobj(far, near)
        try:
            tensors = stack.enter_context(safetensors.safe_open(Path(local), "numpy"))
        except safetensors.SafetensorError as error:
            raise UserError(f"{path}: damaged, not valid safetensors ({error})") from error
        yield tensors


def _read(path: epath.Path, tensors: Any, name: str, views: tuple[np.ndarray, ...]) -> None:
    """Copies one tensor of an open file into its views."""
    found = tensors.get_slice(name)
    rows, *rest = views[0].shape
    wanted = [len(views) * rows, *rest]
    if found.get_shape() != wanted:
        raise UserError(f"{path}: {name} has shape {found.get_shape()}; {CONFIG} says {wanted}")
    if found.get_dtype() not in _EXACT:
        expected = ", ".join(_EXACT)
        raise UserError(f"{path}: {name} is of type {found.get_dtype()}; expected {expected}")
    for view, part in zip(views, np.split(tensors.get_tensor(name), len(views)), strict=True):
        view[...] = part
