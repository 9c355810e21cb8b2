"""Evidence from the snapshots of the made-up study of language models, as the paper says it is."""

import made_language
import numpy as np
from made_language import RATES, SIZES, language

LAYERS = 4
SNAPSHOTS = (0, 100, 1000, 10_000)


def representation(rates=RATES[:3], gaps=(), sizes=SIZES, streams=2, noise=0.01, **changes):
    """Results over frequencies with evidence: functions of the share of a task that is learned.

    Args:
        rates: frequencies.
        gaps: of injections.
        sizes: names and parameters.
        streams: number of them.
        noise: of all values.
        changes: variable -> function of what is learned [..., task] in place of the usual one.
    """
    results = language(rates, gaps, sizes=sizes, streams=streams, steps=SNAPSHOTS, noise=noise)
    rng = np.random.default_rng(1)
    guessing = -np.log(np.array([1 / n for n in made_language.LABELS]))
    learned = 1 - (results["loss"] / guessing).clip(max=1).rename(step="snapshot")
    learned = learned.assign_coords(snapshot=list(SNAPSHOTS))
    made = {
        "r2": lambda x: 0.1 + 0.85 * x,
        "r2_in_sample": lambda x: 0.5 + 0.48 * x,
        "modes": lambda x: 2 + 12 * x,
        "modes_by_chance": lambda x: 2 + 0 * x,
        "alignment": lambda x: 0.97 * x,
        "alignment_random": lambda x: 0.05 * x,
        "alignment_whole": lambda x: 0.98 * x,
        "null_effect": lambda x: 5 * x,
    }
    layered = {"modes": 1 / LAYERS, "modes_by_chance": 1 / LAYERS}
    for name, function in (made | changes).items():
        values = function(learned)
        values = values + noise * rng.standard_normal(values.shape)
        if name == "null_effect":
            fading = 1 / np.arange(1, LAYERS + 1)
            wobble = 1 + noise / 10 * rng.standard_normal((*values.shape, LAYERS))
            values = values.expand_dims(layer=LAYERS, axis=-1) * fading * wobble
        elif name in layered:
            values = values.expand_dims(layer=LAYERS, axis=-1) * layered[name]
            values = values.where(values["task"] == "addition")  # addition alone has a sum
        results[name] = values.where(values["task"] != "text")
    return results.assign_coords(layer=np.arange(1, LAYERS + 1))
