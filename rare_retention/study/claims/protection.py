"""The check that what a protected arm keeps is a matter of the task that is protected."""

import xarray as xr

from rare_retention.evidence import arms
from rare_retention.study.claims.claim import Claim, NotTested, require

ANOTHER = "another protected"
"""What is done in the arm in which a task that is never shown is protected in its place."""


def _of_another(results: xr.Dataset) -> xr.DataArray:
    """Distance from the bare schedule, at the size where it is largest; mean over schedules."""
    require(results, "frequency", "exposure_step")
    found = [
        abs(arms.held(point, arms.named(schedule, ANOTHER)) - arms.held(point, schedule))
        for point in arms.points(results)
        for schedule in arms.bursts(point)
        if arms.has(point, arms.named(schedule, ANOTHER))
    ]
    if not found:
        raise NotTested(f"the study has no arm such as 'gap 50, {ANOTHER}'")
    joined = xr.concat(found, "point", coords="minimal", compat="override", join="outer")
    return joined.max("size").mean("point", skipna=False)


CLAIMS = (
    Claim(
        name="protecting_another_gives_nothing",
        statement="Protection of another task in the place of the rare one leaves bursts what they "
        "are.",
        source="our own check of the protection",
        statistic="Distance of what is held at the last step from that of the same bursts without "
        "a rule, at the size where it is largest; mean over schedules.",
        relation="<",
        threshold=0.1,
        compute=_of_another,
        account="none",
        against="Any such rule gives something back: it is no matter of the task.",
        kind="check",
    ),
)
