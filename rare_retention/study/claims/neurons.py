"""Claims on one and two neurons between a common and a rare task (Example 7)."""

import xarray as xr

from rare_retention.evidence import states
from rare_retention.study.claims.claim import Claim, NotTested, over_points, require

_RARE = "rare"


def _one_neuron(results: xr.Dataset) -> xr.DataArray:
    return _rare_alignment(results, 1)


def _two_neurons(results: xr.Dataset) -> xr.DataArray:
    return _rare_alignment(results, 2)


def _rare_alignment(results: xr.Dataset, neurons: int) -> xr.DataArray:
    """Alignment with the rare task, mean over the states of the last quarter of the run."""
    require(results, "alignment")
    if neurons not in results["size"]:
        raise NotTested(f"the study has no student of width {neurons}")

    def late(point: xr.Dataset) -> xr.DataArray:
        rare = point["alignment"].sel(size=neurons, task=_RARE, drop=True)
        mean: xr.DataArray = states.late(rare).mean("step", skipna=False)
        return mean

    return over_points(results, late).mean("point", skipna=False)


CLAIMS = (
    Claim(
        name="one_neuron_is_pulled_back",
        statement="One neuron between two tasks is pulled back to the common one.",
        source="Example 7, Fig. 11",
        statistic="Alignment of the one neuron with the rare task, mean over the states measured "
        "in the last quarter of the run.",
        relation="<=",
        threshold=0.2,
        compute=_one_neuron,
        account="capacity",
        against="The one neuron stays with the rare task, or between the two.",
        bounds=(0, 1),
    ),
    Claim(
        name="two_neurons_learn_both",
        statement="A second neuron learns the rare task.",
        source="Fig. 11",
        statistic="Largest alignment of two neurons with the rare task, mean over the states "
        "measured in the last quarter of the run.",
        relation=">=",
        threshold=0.9,
        compute=_two_neurons,
        account="capacity",
        against="With a neuron to spare the rare task is still not learned.",
        bounds=(0, 1),
    ),
)
