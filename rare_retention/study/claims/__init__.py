"""The paper's claims, and the judge of a study's results by them.

A claim fixes its sentence, statistic, threshold and interval before any run; `judge` computes the
statistic for each stream and initialisation and says whether the interval lies on the right side.
Where results cannot test a claim, the verdict says why. A claim says which account of why larger
students learn more its verdict speaks for, and what result would be against it. What cannot fail,
or asks whether training and numbers are sound, is a check and stands apart.
"""

import difflib
from collections.abc import Iterable, Sequence

import xarray as xr

from rare_retention.errors import ConfigError
from rare_retention.evidence import states
from rare_retention.study.claims import (
    arms,
    branches,
    capture,
    forgetting,
    gains,
    gradients,
    interference,
    language,
    neurons,
    representation,
    subtasks,
)
from rare_retention.study.claims.claim import Claim
from rare_retention.study.claims.verdict import Verdict, judge_claim, judged_together

__all__ = ["CLAIMS", "Claim", "Verdict", "add", "check_names", "judge"]

CLAIMS: dict[str, Claim] = {
    claim.name: claim
    for claim in (
        *capture.CLAIMS,
        *gains.CLAIMS,
        *forgetting.CLAIMS,
        *arms.CLAIMS,
        *branches.CLAIMS,
        *interference.CLAIMS,
        *gradients.CLAIMS,
        *neurons.CLAIMS,
        *subtasks.CLAIMS,
        *language.CLAIMS,
        *representation.CLAIMS,
    )
}
"""Every claim by its name, in the paper's order within each theme; `add` has further ones."""


def add(claim: Claim) -> Claim:
    """Adds a claim of a file of the user's own, so that a study can list its name.

    Raises:
        ConfigError: there is another of this name.
    """
    other = CLAIMS.get(claim.name)
    if other is not None and other.compute.__module__ != claim.compute.__module__:
        raise ConfigError("claims", f"there is a claim {claim.name!r} already: {other.statement}")
    CLAIMS[claim.name] = claim
    return claim


def check_names(names: Sequence[str], field: str = "claims") -> None:
    """Checks that these are claims, each named once.

    Args:
        names: of the claims.
        field: the configuration's field that lists them, for the error.

    Raises:
        ConfigError: a claim is unknown or repeated.
    """
    for i, name in enumerate(names):
        if name not in CLAIMS:
            near = difflib.get_close_matches(name, CLAIMS, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"the claims are {', '.join(CLAIMS)}"
            raise ConfigError(f"{field}[{i}]", f"unknown claim {name!r}; {hint}")
        if name in names[:i]:
            raise ConfigError(f"{field}[{i}]", f"claim {name!r} is listed twice")


def judge(results: xr.Dataset, names: Iterable[str] = tuple(CLAIMS)) -> list[Verdict]:
    """Judges claims by the results of a study.

    Args:
        results: of a study; runs that have not finished are left out.
        names: of the claims, all of them by default.

    Returns:
        One verdict for each name, in their order.

    Raises:
        ConfigError: a claim is unknown or repeated.
    """
    chosen = tuple(names)
    check_names(chosen)
    finished = states.finished(results)
    trunk = states.trunk(finished)
    found = []
    for claim in (CLAIMS[name] for name in chosen):
        found.append(judge_claim(claim, finished if claim.branches else trunk))
    return judged_together(found)
