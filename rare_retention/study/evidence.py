"""Evidence from the retention snapshots of a study, measured once each and joined in one file.

Each kind of evidence of each snapshot is a file of its own in runs/NAME/evidence/, named after what
it was made from: the options that its kind reads, the recipe and the digests of the weights. What
is there is not measured again; evidence.nc has what the last call asked for.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
import xarray as xr
from etils import epath
from tqdm import tqdm

from rare_retention.config import fingerprint
from rare_retention.errors import UserError
from rare_retention.models.architecture import Architecture
from rare_retention.models.language_model import LanguageModel
from rare_retention.record.checkpoints import about_checkpoint, verify
from rare_retention.record.dataset import load, save
from rare_retention.record.digest import digests
from rare_retention.record.manifest import Manifest, read_manifest
from rare_retention.record.records import RETENTION, steps_in
from rare_retention.representation.ask import measure
from rare_retention.representation.kinds import KINDS, VERSION, Options, Subject, check, subject
from rare_retention.representation.residuals import assemble
from rare_retention.settings.language import Language
from rare_retention.study.folder import RUNS
from rare_retention.study.grid import Study, Unit, units
from rare_retention.study.results import EVIDENCE, join, told, units_of
from rare_retention.tasks.injected import names
from rare_retention.tasks.pairs import Pairs

FOLDER = "evidence"

Models = Mapping[str, Sequence[LanguageModel]]


class Snapshot(NamedTuple):
    """A retention snapshot of a run.

    Attributes:
        unit: its run.
        folder: of the run.
        step: updates before it.
        gone: size and initialisation of students that had diverged before it.
    """

    unit: Unit
    folder: epath.Path
    step: int
    gone: tuple[tuple[str, int], ...] = ()


def collect(
    study: Study, workdir: epath.Path, kinds: Sequence[str], options: Options
) -> xr.Dataset:
    """Measures what is missing, and writes evidence.nc.

    Args:
        study: of language models.
        workdir: of the study.
        kinds: keys of `representation.kinds.KINDS`.
        options: where and how evidence is looked for.

    Returns:
        What evidence.nc holds: (stream, *grid, size, initialisation, snapshot, task, ...).

    Raises:
        UserError: the study has no language models or no snapshots, a snapshot is damaged or of
            another recipe, or the models have not what the options ask for.
    """
    setting = language(study.run.setting, str(workdir))
    shapes = setting.architectures
    sizes = {str(s.size): shapes[s.group] for s in setting.family.students}
    found = snapshots(study, workdir)
    check(options, kinds, sizes, list(subjects(setting, study.run.seeds.tasks).values()))
    with tqdm(total=len(found) * len(kinds), desc="evidence", unit="measurement") as bar:
        parts = [
            (snapshot.unit.coordinates, _at(snapshot.step, without(part, snapshot.gone)))
            for snapshot in found
            for part in _counted(bar, _of_snapshot(snapshot, kinds, options))
        ]
    joined = join(study.dimensions, parts).assign_attrs(told(study))
    save(joined, workdir / EVIDENCE)
    return joined


def collect_published(
    setting: Language,
    name: str,
    shape: Architecture,
    params: Any,
    workdir: epath.Path,
    kinds: Sequence[str],
    options: Options,
) -> xr.Dataset:
    """Evidence of one published model, written to evidence.nc: (size, initialisation, task, ...).

    Args:
        setting: whose tasks it is asked, as the first stream has them.
        name: of the model, its place in the index `size`.
        shape: of the model.
        params: the pure dict of its weights.
        workdir: where evidence.nc is to stand.
        kinds: keys of `representation.kinds.KINDS`.
        options: where and how evidence is looked for.

    Raises:
        UserError: its vocabulary is smaller than the tokens of the setting, or it has not what the
            options ask for.
    """
    if setting.ids > shape.vocabulary:
        raise UserError(
            f"the model has {shape.vocabulary:,} words, but the tokens of the config's corpus are "
            f"below {setting.ids:,}; expected a corpus in the model's own tokens"
        )
    asked = subjects(setting, draw=0)
    check(options, kinds, {name: shape}, list(asked.values()))
    identity = {task: each.tokens.tolist() for task, each in asked.items()}
    about = {"recipe": identity, "digests": digests(jax.tree.map(np.asarray, params))}

    def models() -> Models:
        return {name: [assemble(shape, params)]}

    with tqdm(total=len(kinds), desc="evidence", unit="measurement") as bar:
        parts = _measured(workdir / FOLDER / "published", about, models, asked, kinds, options)
        joined = xr.merge(list(_counted(bar, parts)), compat="no_conflicts")
    save(joined, workdir / EVIDENCE)
    return joined


def language(setting: object, source: str) -> Language:
    """The setting, if it is one of language models.

    Raises:
        UserError: it is another.
    """
    if not isinstance(setting, Language):
        kind = getattr(setting, "kind", type(setting).__name__)
        raise UserError(f"{source}: a {kind} setting has no language models to look into")
    return setting


def subjects(setting: Language, draw: int) -> dict[str, Subject]:
    """Name of each task of pairs -> what is asked of it, in one draw of the tasks.

    Raises:
        UserError: there is none.
    """
    called = names(setting.tasks)
    both = zip(called, setting.tasks, setting.instances(draw), strict=True)
    found = {name: subject(task, own) for name, task, own in both if isinstance(task, Pairs)}
    if not found:
        raise UserError(
            f"evidence is looked for in tasks of TOK1 TOK2 LABEL; got {', '.join(called)}"
        )
    return found


def snapshots(study: Study, workdir: epath.Path) -> list[Snapshot]:
    """All retention snapshots of a study.

    Raises:
        UserError: there are none, or a run is of another recipe.
    """
    found = []
    for unit in units(study):
        folder = workdir / RUNS / unit.name
        about = read_manifest(folder)
        if about is not None and about.identity != unit.run.identity():
            raise UserError(
                f"{folder}: belongs to recipe {about.identity}, not {unit.run.identity()}, "
                "which its study asks for"
            )
        found += [
            Snapshot(unit, folder, step, diverged(about, step))
            for step in steps_in(folder / RETENTION)
        ]
    if not found:
        raise UserError(
            f"{workdir}: no run has kept a snapshot in {RETENTION}/; train with "
            "--config.run.snapshots.every=STEPS"
        )
    return found


def diverged(about: Manifest | None, step: int) -> tuple[tuple[str, int], ...]:
    """Size and initialisation of the students that had diverged before a state."""
    if about is None:
        return ()
    return tuple(
        (str(student.size), student.initialisation)
        for student in about.students
        if about.halted.get(student.label, step) < step
    )


def without(part: xr.Dataset, gone: Sequence[tuple[str, int]]) -> xr.Dataset:
    """Evidence with NaN for some students, by size and initialisation."""
    if not gone:
        return part
    dims = ("size", "initialisation")
    places = [
        [(str(s), int(i)) not in gone for i in part.initialisation] for s in part["size"].values
    ]
    left = xr.DataArray(places, dims=dims)
    own = {name: v.where(left) for name, v in part.data_vars.items() if set(dims) <= set(v.dims)}
    return part.assign(own)


def _of_snapshot(
    snapshot: Snapshot, kinds: Sequence[str], options: Options
) -> Iterator[xr.Dataset]:
    """Evidence of each kind; the weights are read if any of it is new."""
    root = snapshot.folder / RETENTION
    setting = language(snapshot.unit.run.setting, str(snapshot.folder))
    about = about_checkpoint(root, snapshot.step)
    if about["identity"] != (wanted := snapshot.unit.run.identity()):
        raise UserError(
            f"{root / str(snapshot.step)}: belongs to recipe {about['identity']}, not {wanted}"
        )

    def models() -> Models:
        params = verify(root, snapshot.step)
        names = {student.group: str(student.size) for student in setting.family.students}
        return {
            names[group]: [
                assemble(shape, jax.tree.map(lambda leaf, row=row: leaf[row], params[group]))
                for row in range(setting.initialisations)
            ]
            for group, shape in setting.architectures.items()
        }

    start = snapshot.folder / FOLDER / f"{snapshot.step:08d}"
    asked = subjects(setting, snapshot.unit.run.seeds.tasks)
    return _measured(start, about, models, asked, kinds, options)


def _measured(
    start: epath.Path,
    about: Mapping[str, Any],
    models: Callable[[], Models],
    asked: Mapping[str, Subject],
    kinds: Sequence[str],
    options: Options,
) -> Iterator[xr.Dataset]:
    """Evidence of each kind, from files START_KIND_KEY.nc where it is in them.

    Args:
        start: path of the files up to the kind.
        about: what the models are.
        models: reads them.
        asked: the tasks that they were trained on.
        kinds: keys of `representation.kinds.KINDS`.
        options: where and how evidence is looked for.
    """
    held: Models | None = None
    for kind in kinds:
        read = {"version": VERSION, "options": KINDS[kind].read(options)}
        key = fingerprint({**about, **read})
        path = start.with_name(f"{start.name}_{kind}_{key}.nc")
        if not path.exists():
            held = models() if held is None else held
            with jax.default_matmul_precision("float32"):
                save(measure(kind, held, asked, options), path, evidence=key)
        yield load(path, remedy="run launch.evidence again", evidence=key)


def _counted(bar: "tqdm[Any]", parts: Iterable[xr.Dataset]) -> Iterator[xr.Dataset]:
    for part in parts:
        bar.update()
        yield part


def _at(step: int, part: xr.Dataset) -> xr.Dataset:
    """Evidence with the dimension `snapshot`: the step of the state that it was found in."""
    placed = part.expand_dims(snapshot=[step])
    placed["snapshot"].attrs["units"] = units_of("snapshot")
    return placed.transpose("size", "initialisation", "snapshot", ...)
