"""Architectures and ways of computing them that cannot be."""

import subprocess
import sys

import pytest

from rare_retention.config import config
from rare_retention.errors import ConfigError
from rare_retention.models.architecture import Architecture, Compute, check_path, code
from rare_retention.models.olmo_shape import OlmoShape


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layers": 0}, "layers: expected at least 1, got 0"),
        ({"heads": 3}, "heads: 3 do not cut hidden = 16 into even dimensions"),
        ({"heads": 16}, "heads: 16 do not cut hidden = 16 into even dimensions"),
        ({"mlp": 33}, "mlp: counts both halves; expected an even number, got 33"),
        ({"norm": "batch"}, "norm: expected 'layer' or 'rms', got 'batch'"),
        ({"hidden": "16"}, "hidden: expected an integer, got '16' (did you mean 16?)"),
    ],
)
def test_impossible_architectures_are_one_line(changes, message):
    fields = {"layers": 2, "hidden": 16, "mlp": 32, "heads": 4} | changes
    with pytest.raises(ConfigError) as caught:
        OlmoShape(**fields)
    assert str(caught.value) == message


def test_impossible_computations_are_one_line():
    with pytest.raises(ConfigError, match="unroll: expected at least 1, got 0"):
        Compute(unroll=0)


@pytest.mark.parametrize(
    ("path", "length", "size", "dtype", "message"),
    [
        ("cudnn", 512, 64, "float32", "cudnn has no float32; expected dtype bfloat16, or auto"),
        ("cudnn", 512, 12, "bfloat16", "cudnn wants heads of 8, 16, ... 128 dimensions, got 12"),
        ("splash", 200, 64, "float32", "splash wants windows in multiples of 128, got 200"),
    ],
)
def test_paths_that_cannot_be_had_are_one_line(path, length, size, dtype, message):
    with pytest.raises(ConfigError, match=f"attention: {message}"):
        check_path(path, length, size, dtype)


@pytest.mark.parametrize("path", ["auto", "blocked", "xla", "splash"])
def test_paths_that_can_be_had(path):
    check_path(path, 256, 12, "float32")


def test_what_every_architecture_says_of_itself_is_required():
    """A third one that leaves something out is told at once, not where it is used."""

    @config
    class Half(Architecture):
        @property
        def kind(self):
            return "half"

    with pytest.raises(TypeError, match="abstract"):
        Half(layers=1, hidden=2, mlp=2, heads=1)


def test_a_shape_is_read_without_what_computes_it():
    """And computed by the module that is named."""
    assert code("olmo").OlmoModel.__module__ == "rare_retention.models.olmo"
    script = "import sys, rare_retention.models.designs; print('jax' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
