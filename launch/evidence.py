"""Looks into language models: what they represent, and what they use (paper Figs. 7, 10, App. B.4).

Examples:
    python -m launch.evidence --workdir=runs/quickstart_lm
    python -m launch.evidence --workdir=runs/x --kinds=probe,das --layer=1 --position=1
    python -m launch.evidence --workdir=runs/x --kinds=scores
    python -m launch.evidence --model=OLMo-1B-hf --config=configs/olmo/gap.py --workdir=runs/1b

The first three read every retention snapshot of a study and write evidence.nc beside its results,
from which `launch.report` draws and judges; the last asks a published model about the tasks of a
config. The same command again goes on where it was stopped. Runs on one device.
"""

from collections.abc import Iterator, Sequence

import xarray as xr
from absl import flags
from etils import epath

from launch import common
from rare_retention import flags as command_line
from rare_retention.errors import ConfigError, UserError
from rare_retention.representation.kinds import KINDS, Options
from rare_retention.study.folder import STUDY, stored_study
from rare_retention.study.grid import Study
from rare_retention.study.results import EVIDENCE

_DEFAULTS = Options()

_MODEL = command_line.define_path("model", None, "folder of a published model, in place of a study")
_CONFIG = command_line.define_path(
    "config", None, "with --model: file of the study whose tasks it has"
)
_KINDS = flags.DEFINE_list(
    "kinds",
    [name for name, kind in KINDS.items() if not kind.by_name],
    f"kinds of evidence: {', '.join(KINDS)}",
)
_LAYER = flags.DEFINE_integer(
    "layer", _DEFAULTS.layer, "state that is probed or searched: 0 the embedding, l after layer l"
)
_POSITION = flags.DEFINE_integer(
    "position", _DEFAULTS.position, "token whose value is probed or searched: 0 TOK1, 1 TOK2"
)
_COMPONENTS = flags.DEFINE_integer(
    "components", _DEFAULTS.components, "most principal components of a probe"
)
_DIMENSIONS = flags.DEFINE_integer(
    "dimensions", _DEFAULTS.dimensions, "of the subspace that is searched"
)
_PAIRS = flags.DEFINE_integer(
    "pairs", _DEFAULTS.pairs, "interventions that a search learns from; as many fresh ones score it"
)

flags.declare_key_flag("workdir")


def main(arguments: Sequence[str]) -> int:
    """Measures what is missing; returns the exit code."""
    from rare_retention import jax_settings

    common.quieten()
    jax_settings.check()
    if arguments:
        raise UserError(f"unexpected argument {arguments[0]!r}; flags are given as --name=VALUE")
    if bool(_MODEL.value) != bool(_CONFIG.value):
        raise UserError("--model and --config go together: a published model, and tasks to ask it")
    workdir, kinds = common.workdir(), _kinds()
    try:
        options = Options(
            layer=_LAYER.value,
            position=_POSITION.value,
            components=_COMPONENTS.value,
            dimensions=_DIMENSIONS.value,
            pairs=_PAIRS.value,
        )
        found = (_published if _MODEL.value else _study)(workdir, kinds, options)
    except ConfigError as error:
        if error.source or error.field not in flags.FLAGS:
            raise
        raise UserError(f"--{error}") from None
    for line in _lines(found):
        print(line)
    print(f"{workdir / EVIDENCE}: {', '.join(kinds)}")
    if not _MODEL.value:
        print(f"python -m launch.report --workdir={workdir} draws and judges it")
    return 0


def _kinds() -> list[str]:
    unknown = [kind for kind in _KINDS.value if kind not in KINDS]
    if unknown or not _KINDS.value:
        asked = ",".join(_KINDS.value)
        raise UserError(f"--kinds={asked}: expected some of {','.join(KINDS)}")
    return list(dict.fromkeys(_KINDS.value))


def _study(workdir: epath.Path, kinds: Sequence[str], options: Options) -> xr.Dataset:
    from rare_retention.study import evidence

    return evidence.collect(stored_study(workdir), workdir, kinds, options)


def _published(workdir: epath.Path, kinds: Sequence[str], options: Options) -> xr.Dataset:
    """Asks the model of --model about the tasks of --config.

    Raises:
        UserError: the config is not of language models, or the workdir holds a study.
    """
    from rare_retention.models import exchange
    from rare_retention.study import evidence

    source = str(_CONFIG.value)
    study = command_line.load(source)
    if not isinstance(study, Study):
        kind = type(study).__name__
        raise ConfigError("", f"get_config returned {kind}, but this program needs Study", source)
    setting = evidence.language(study.run.setting, source)
    if (workdir / STUDY).exists():
        raise UserError(f"{workdir}: holds a study; choose another --workdir for this model")
    folder = epath.Path(_MODEL.value)
    shape, params = exchange.load(folder)
    return evidence.collect_published(
        setting, folder.name or "the model", shape, params, workdir, kinds, options
    )


def _lines(found: xr.Dataset) -> Iterator[str]:
    """Values that are one number, at the last snapshot: mean, least and greatest of all models."""
    last = found.isel(snapshot=-1) if "snapshot" in found.dims else found
    for task in last["task"].to_numpy().tolist():
        yield f"{task}:"
        for name, values in last.sel(task=task).items():
            if {"layer", "neuron", "pair"} & set(values.dims) or values.isnull().all():
                continue
            ends = f"{float(values.min()):.3g} to {float(values.max()):.3g}"
            yield f"  {name:<18}{float(values.mean()):<9.3g}{ends}"


if __name__ == "__main__":
    flags.mark_flag_as_required("workdir")
    command_line.run(main)
