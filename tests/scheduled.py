"""Schedules of the placements that are built in, with the fields of the config as arguments."""

from rare_retention.errors import below
from rare_retention.schedule.bursts import Exposure
from rare_retention.schedule.schedule import Schedule


def scheduled(frequencies, batch, *, seed=0, wording=None, **exposure):
    """A schedule of `batch` slots; errors name fields as a run does."""
    with below("exposure"):
        own = Exposure(**exposure)
    return Schedule(frequencies, batch, own, seed=seed, wording=wording)
