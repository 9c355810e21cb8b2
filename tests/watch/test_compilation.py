"""Time that JAX spends on compiling."""

import time

import jax
import jax.numpy as jnp

from rare_retention.watch.compilation import Compilation


def test_no_moment_counts_twice():
    own = Compilation()
    own.add(1.0, 2.0)
    own.add(1.5, 3.0)  # overlaps
    assert own.seconds == 2.0
    own.add(4.0, 5.0)
    own.add(0.0, 6.0)  # all of them were inside
    assert own.seconds == 6.0


def test_it_hears_what_is_compiled_while_entered():
    begun = []

    def slow(x):
        time.sleep(0.05)  # of tracing
        return jnp.sin(x) * 3

    with Compilation(lambda: begun.append(1)) as own:
        jax.jit(slow)(jnp.ones(3)).block_until_ready()
        seconds = own.seconds
        assert seconds > 0.05 and begun
        start = time.monotonic()
    jax.jit(lambda x: slow(x) + 1)(jnp.ones(3)).block_until_ready()
    assert own.seconds == seconds < seconds + time.monotonic() - start


def test_a_program_that_is_there_costs_nothing():
    compiled = jax.jit(lambda x: x + 2)
    compiled(jnp.ones(3))
    with Compilation() as own:
        compiled(jnp.zeros(3)).block_until_ready()
    assert own.seconds < 0.05
