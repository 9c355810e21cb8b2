"""What `--help` of every launcher prints."""

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


def test_no_launcher_loads_jax_before_it_computes():
    modules = ", ".join(f"launch.{name}" for name in NAMES)
    ask = f"import {modules}, sys; print([m for m in ('jax', 'flax', 'orbax') if m in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
