"""Optimizer of a run: what it is, and the learning rate of each size."""

import dataclasses
from collections.abc import Iterable
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from rare_retention.config import Above0, ConfigError, From0, Natural, Positive, config

_Decay = Annotated[float, Field(ge=0, lt=1)]
_MUON = ("momentum", "nesterov", "newton_schulz", "update_rms", "adam_factor")


@config
class Optimizer:
    """AdamW, plain gradient descent or Muon, with clipped gradients or without.

    The defaults are PyTorch's AdamW, which the paper uses. Rates, their schedule and clipping are
    of every method.

    Attributes:
        method: "adamw"; "sgd", plain gradient descent, which ignores `weight_decay`, `beta1`,
            `beta2` and `epsilon`; or "muon" (Jordan et al. 2024,
            https://kellerjordan.github.io/posts/muon): the mean of the gradient of each matrix,
            made orthogonal by Newton-Schulz. A setting's family says what its matrices are
            (`Family.matrix`); weights that are none, such as embeddings and norms, get AdamW.
        peak: largest learning rate.
        relative: factor of the learning rate for each size of model, from small to large; empty is
            1 for all. With factors that make an injection gain as much in each size, "keeps more"
            is not "moved less" (see `study.matching`).
        schedule: "inverse_sqrt": peak / sqrt(1 + t / timescale) at step t; "cosine": half a cosine
            from the peak at the end of the warm-up to `final` of it at the horizon; or "constant".
        timescale: steps after which the inverse square root has fallen to 0.71 of its peak.
        horizon: step at which the cosine ends; the run may be shorter or longer.
        final: share of the peak that the cosine ends at, and stays at.
        warmup: steps of linear growth to the schedule's value.
        warmup_from: share of that value at which the growth begins.
        ahead: steps by which the schedule is read ahead. AI2's trainer counts a batch before it
            asks for its rate, so that the first one has the rate of step 1.
        weight_decay: decoupled decay, multiplied by the learning rate.
        beta1: decay of the mean of the gradient, in AdamW. Muon reads it, `beta2` and `epsilon`
            for the weights that are no matrices.
        beta2: decay of the mean of its square.
        epsilon: added to the root of the mean square.
        momentum: decay of the mean of the gradient, in Muon. Its own fields, from here to
            `adam_factor`, are refused under another method.
        nesterov: whether the last gradient is blended into that mean once more before it is made
            orthogonal.
        newton_schulz: steps of the iteration; after 5 singular values are between 0.7 and 1.2.
        update_rms: root mean square of what Muon's rate is multiplied with, of a matrix of full
            rank: updates are scaled by update_rms sqrt(max(inputs, outputs)). At 0.2 they are about
            as large as AdamW's, so that rates and decays fit both (Liu et al. 2025,
            arXiv:2502.16982). None scales them by sqrt(max(1, outputs / inputs)), as Jordan does,
            whose rates are about 0.02.
        adam_factor: learning rate of what AdamW trains, in rates of Muon's.
        clip: largest norm of a student's whole gradient, larger ones are scaled down to it; None
            leaves gradients as they are.
        clip_warmup: first steps in which that norm is larger.
        clip_factor: how many times larger it is there.
        clip_behind: steps before the first of these. AI2's trainer clips a batch before it sets the
            norm that is due, so that each has that of the batch before, and the first one `clip`.
        skip_above: standard deviations by which a student's loss, or the norm of its gradient, may
            exceed the mean of its last steps; a step beyond is skipped by this student, as in
            OLMo-core, whose value is 6. None skips none. How many were stands in the manifest.
        skip_window: number of these last steps, of which half have to be known; read with
            `skip_above` alone.
    """

    method: Literal["adamw", "sgd", "muon"] = "adamw"
    peak: Above0 = 1e-3
    relative: tuple[Above0, ...] = ()
    schedule: Literal["inverse_sqrt", "cosine", "constant"] = "inverse_sqrt"
    timescale: Above0 = 1000.0
    horizon: int = 0
    final: From0 = 0.1
    warmup: Natural = 0
    warmup_from: From0 = 0.0
    ahead: Natural = 0
    weight_decay: From0 = 1e-2
    beta1: _Decay = 0.9
    beta2: _Decay = 0.999
    epsilon: Above0 = 1e-8
    momentum: _Decay = 0.95
    nesterov: bool = True
    newton_schulz: Positive = 5
    update_rms: Above0 | None = 0.2
    adam_factor: Above0 = 1.0
    clip: Above0 | None = 1.0
    clip_warmup: Natural = 0
    clip_factor: Above0 = 5.0
    clip_behind: Natural = 0
    skip_above: Above0 | None = None
    skip_window: Annotated[int, Field(ge=2)] = 128

    def __post_init__(self) -> None:
        if self.schedule == "cosine" and self.horizon <= self.warmup:
            raise ConfigError(
                "horizon",
                f"a cosine needs the step at which it ends, beyond warmup = {self.warmup}; got "
                f"{self.horizon}",
            )
        if self.skip_above is None and self.skip_window != type(self).skip_window:
            raise ConfigError(
                "skip_window",
                f"is read with skip_above alone; got {self.skip_window} without one: set "
                "skip_above, such as 6, or leave it out",
            )
        if self.method != "muon":
            self._check_without_muon()

    def _check_without_muon(self) -> None:
        """Refuses what Muon alone reads, so that equal runs have one recipe."""
        for name in _MUON:
            given, default = getattr(self, name), getattr(type(self), name)
            if given != default:
                raise ConfigError(
                    name,
                    f"Muon alone reads it; expected its default {default} with method = "
                    f"{self.method!r}, got {given}; leave it out, or set method='muon'",
                )

    @property
    def form(self) -> "Optimizer":
        """The same with a placeholder for the peak: what a compiled program knows of it."""
        return dataclasses.replace(self, peak=1.0, relative=())

    def rates(self, groups: Iterable[str]) -> dict[str, np.float32]:
        """Peak learning rate of each group of students.

        Args:
            groups: of a setting, from small to large.

        Raises:
            ConfigError: there are other numbers of factors and of groups.
        """
        names = list(dict.fromkeys(groups))
        factors = self.relative or (1.0,) * len(names)
        if len(factors) != len(names):
            raise ConfigError(
                "optimizer.relative",
                f"expected a factor for each of {len(names)} sizes, got {len(factors)}",
            )
        return {
            name: np.float32(self.peak * factor)
            for name, factor in zip(names, factors, strict=True)
        }


def olmo(steps: int, peak: float = 3e-4, *, from_zero: bool = False) -> Optimizer:
    """The public recipe of OLMo-7B-0724, its token counts scaled to a run (paper App. B.2).

    At the paper's 210B tokens the warm-up takes 10.5B of them, a twentieth, and gradients are
    clipped at five times the norm over the first 2.1B, a hundredth. The warm-up begins at a tenth
    of the peak, a batch counts before its rate is asked for, and is clipped at the norm of the
    batch before, as in AI2's trainer.

    Args:
        steps: of the run, the cosine's horizon.
        peak: largest learning rate; 3e-4 for every size in the paper.
        from_zero: begin the warm-up at zero, and the larger norm with it, at the first batch.
    """
    return Optimizer(
        peak=peak,
        schedule="cosine",
        horizon=steps,
        final=0.1,
        warmup=round(steps / 20),
        warmup_from=0.0 if from_zero else 0.1,
        ahead=0 if from_zero else 1,
        weight_decay=0.1,
        beta1=0.9,
        beta2=0.95,
        epsilon=1e-5,
        clip=1.0,
        clip_warmup=round(steps / 100),
        clip_factor=5.0,
        clip_behind=0 if from_zero else 1,
    )
