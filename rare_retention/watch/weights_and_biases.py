"""Scalars for Weights & Biases.

A run of a study is a run there, in a project and a group of the study's name. It keeps its id in
its folder, so that a start that goes on adds to the same one. WANDB_MODE, WANDB_PROJECT,
WANDB_ENTITY and the like are read as wandb reads them.
"""

import os
import re
import uuid
from collections.abc import Mapping
from typing import Any

from etils import epath

from rare_retention.errors import UserError
from rare_retention.record.files import read_object, write_json
from rare_retention.watch.tracker import Place

FOLDER = "wandb"

ID = "id.json"
"""Where the folder keeps which run there it is."""


class WeightsAndBiases:
    """Logs the scalars of one run."""

    def __init__(self, place: Place) -> None:
        """Names the run; nothing is opened yet.

        Args:
            place: the run.
        """
        self._place = place
        self._run: Any = None

    def begin(self, step: int) -> None:
        """Opens the run, or goes on with the one that the folder knows.

        Raises:
            UserError: wandb refuses, as where nobody has logged in.
        """
        import wandb  # here alone: pages about this module are made without it

        local = "://" not in str(self._place.folder)
        try:
            self._run = wandb.init(
                project=os.environ.get("WANDB_PROJECT") or _project(self._place.study),
                group=self._place.study or None,
                name=self._place.label or None,
                id=_id(self._place.folder),
                dir=str(self._place.folder) if local else None,
                config=dict(self._place.config),
                resume="allow",
                reinit="finish_previous",
                settings=wandb.Settings(silent=True, console="off"),
            )
        except Exception as error:
            why = " ".join(str(error).split())
            raise UserError(
                f"--track=wandb: {why}; `wandb login` once, or WANDB_MODE=offline"
            ) from error
        # States after `step` are logged again, with the same values: by the state they fall on
        # each other, where wandb's own count of calls can only grow.
        self._run.define_metric("step")
        self._run.define_metric("*", step_metric="step")

    def log(self, step: int, time: float, scalars: Mapping[str, float]) -> None:
        """Takes numbers by name, `Tracker.log`."""
        self._run.log({**scalars, "step": step, "_timestamp": time})

    def flush(self) -> None:
        """Nothing to do: a process of wandb's own sends what was logged."""

    def close(self) -> None:
        """Has wandb send what is left."""
        if self._run is not None:
            self._run.finish()
            self._run = None


def _project(study: str) -> str:
    """The name of a study as that of a project, which may not hold some characters."""
    return re.sub(r"[/\\#?%:\s]+", "-", study)[:128].strip("-") or "rare_retention"


def _id(folder: epath.Path) -> str:
    """The id of a run there, made when it is first asked for."""
    path = folder / FOLDER / ID
    if path.exists():
        return str(read_object(path)["id"])
    made = uuid.uuid4().hex[:12]
    write_json(path, {"id": made})
    return made
