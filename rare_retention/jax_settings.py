"""Settings of JAX that change what a run computes: they must be those that its record stands for.

They may come from the environment, where another program's needs have put them, and would change
results without a word, or stop a run at its first checkpoint.
"""

from typing import Any, NamedTuple

import jax

from rare_retention.errors import UserError


class _Wanted(NamedTuple):
    value: Any
    why: str


WANTED = {
    "jax_enable_x64": _Wanted(False, "runs compute and keep float32"),
    "jax_default_prng_impl": _Wanted("threefry2x32", "batches and weights are drawn by it"),
    "jax_random_seed_offset": _Wanted(0, "it would change every draw of a seed"),
}
"""Name of a setting -> what it must be, and why."""


def check(settings: Any = None) -> None:
    """Refuses settings that would change results.

    Args:
        settings: those of JAX by default.

    Raises:
        UserError: one of them is not what it must be.
    """
    settings = jax.config if settings is None else settings
    for name, (value, why) in WANTED.items():
        found = getattr(settings, name, value)
        if found != value:
            raise UserError(
                f"{name.upper()}={found}: {why}; unset it, in the environment or where the program "
                f"sets it, or set it to {value}"
            )
