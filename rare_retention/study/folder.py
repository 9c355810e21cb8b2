"""The folder of a study: what stands where, and whose it is."""

from etils import epath

from rare_retention.config import difference, from_dict, to_dict
from rare_retention.errors import UserError
from rare_retention.record.files import read_json, write_json
from rare_retention.study.grid import Study

STUDY, RUNS, RESULTS, CLAIMS = "study.json", "runs", "results.nc", "claims.json"
RECIPE = "recipe.json"
"""What all runs of the study share; the corpus it tells of may have moved since."""


def claim(study: Study, workdir: epath.Path, write: bool = True) -> None:
    """Makes the workdir this study's own, or checks that it is.

    A study may grow: more streams, more values, more steps, other figures and claims. Sizes that
    were trained together cannot be taken apart, nor the other way round: their units differ.

    Args:
        study: that is to run here.
        workdir: of the study.
        write: keep the study in it; one host does for all.

    Raises:
        UserError: it holds a study of another name or recipe.
    """
    path = workdir / RECIPE
    recipe = {"name": study.name, "apart": study.apart, "run": study.run.recipe()}
    if path.exists():
        changes = difference(read_json(path), recipe)
        fields = [field for axis in study.grid for field in axis.fields]
        varied = tuple(f"run.{field}{end}" for field in fields for end in ":[.")
        changes = [change for change in changes if not change.startswith(varied)]
        if changes:
            raise UserError(
                f"{workdir}: holds another study: {'; '.join(changes)}; choose another --workdir"
            )
    if write:
        write_json(workdir / STUDY, to_dict(study))
        write_json(path, recipe)


def stored_study(workdir: epath.Path) -> Study:
    """The study that a workdir holds.

    Raises:
        UserError: it holds none.
    """
    path = workdir / STUDY
    if not path.exists():
        raise UserError(f"{workdir}: holds no study (there is no {STUDY})")
    return from_dict(Study, read_json(path))
