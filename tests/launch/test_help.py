"""What `--help` of every launcher prints."""

import json
import re
import subprocess
import sys

import pytest

from launch.__main__ import NAMES

# Each launcher in a process of its own, forked from one that has imported what most of them need.
ASK = """
import os, runpy, sys
import rare_retention.study.grid
for name in sys.argv[2:]:
    if os.fork() == 0:
        with open(f"{sys.argv[1]}/{name}", "w") as file:
            os.dup2(file.fileno(), 1)
        sys.argv = [f"launch/{name}.py", "--help"]
        runpy.run_module(f"launch.{name}", run_name="__main__", alter_sys=True)
        os._exit(99)  # not reached: a launcher exits by itself
    assert os.wait()[1] == 0, name
"""

# What each flag of each launcher is, all of them imported in one process as tests do.
FLAGS = """
import importlib, json, pkgutil, launch
from absl import flags
found = {}
define = flags.FlagValues.__setitem__
def note(values, name, flag):
    found.setdefault(name, set()).add((flag.flag_type(), repr(flag.default)))
    define(values, name, flag)
flags.FlagValues.__setitem__ = note
for module in pkgutil.walk_packages(launch.__path__, "launch."):
    importlib.import_module(module.name)
print(json.dumps({name: sorted(kinds) for name, kinds in found.items()}))
"""


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    """Folder of what each launcher printed."""
    folder = tmp_path_factory.mktemp("help")
    asked = subprocess.run(
        [sys.executable, "-c", ASK, folder, *NAMES], capture_output=True, text=True
    )
    assert asked.returncode == 0, asked.stderr
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_help_shows_an_example(name, printed):
    example = rf"python -m launch\.{name} (\w+ )?--"  # with a verb, where there are some
    assert re.search(example, (printed / name).read_text())


def test_a_flag_is_the_same_in_every_launcher():
    """In kind and default: of two that differ the one imported last would serve both."""
    answer = subprocess.run([sys.executable, "-c", FLAGS], capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    found = json.loads(answer.stdout)
    assert found["workdir"] and found["slices"]
    assert {name: kinds for name, kinds in found.items() if len(kinds) > 1} == {}


def test_no_launcher_loads_jax_before_it_computes():
    modules = ", ".join(f"launch.{name}" for name in NAMES)
    ask = f"import {modules}, sys; print([m for m in ('jax', 'flax', 'orbax') if m in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
