"""Settings of every test: eight fake devices, and JAX at its strictest.

They are environment variables set before JAX is imported, so that launchers that a test starts as
processes of their own have them too.
"""

import asyncio
import contextlib
import gc
import os
import platform
import re
import sys
import threading
import time
import zlib
from pathlib import Path

import hypothesis
import pytest

pytest_plugins = ["watchdog"]

DEVICES = "--xla_force_host_platform_device_count"
CI = bool(os.environ.get("CI"))
ROOT = Path(__file__).resolve().parent.parent


def processor():
    """A name for what this machine's processor can do."""
    about = Path("/proc/cpuinfo")
    text = about.read_text() if about.exists() else f"flags: {platform.processor()}"
    can = re.search(r"^(flags|Features).*", text, re.MULTILINE)
    return f"{platform.machine()}-{zlib.crc32(can[0].encode() if can else b''):08x}"


if "jax" in sys.modules:
    raise RuntimeError("JAX was imported before tests/conftest.py could set it up")

flags = os.environ.get("XLA_FLAGS", "")
if DEVICES not in flags:
    # Tests compile much and run little: without LLVM's optimisations they take half the time.
    fast = "--xla_backend_optimization_level=0"
    os.environ["XLA_FLAGS"] = f"{flags} {DEVICES}=8 {fast}".strip()
os.environ |= {
    "JAX_PLATFORMS": "cpu",
    "JAX_NUMPY_DTYPE_PROMOTION": "strict",
    "JAX_NUMPY_RANK_PROMOTION": "raise",
    "JAX_DEFAULT_PRNG_IMPL": "threefry2x32",
    "JAX_THREEFRY_PARTITIONABLE": "true",
    "MPLBACKEND": "Agg",
    # Failing examples are kept for replay among pytest's own caches.
    "HYPOTHESIS_STORAGE_DIRECTORY": str(ROOT / ".pytest_cache" / "hypothesis"),
}

# What one test compiled is no work for the next, in whichever worker or process that runs, today or
# within a week: JAX names a program by its content, its flags and its own version. It is bound to
# the processor too, and a checkout may be seen by several machines.
PROGRAMS = ROOT / ".pytest_cache" / "programs" / processor()
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(PROGRAMS))
os.environ |= {
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.02",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}
WEEK = 7 * 24 * 3600

# Derandomised runs draw the same examples every time and keep none.
hypothesis.settings.register_profile("local", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("ci" if CI else "local")


@pytest.fixture(autouse=True, scope="session")
def forgotten_texts(tmp_path_factory):
    """What is kept about token files is kept apart from the user's cache."""
    from rare_retention.text import known

    known.FOLDER = str(tmp_path_factory.mktemp("texts"))


# Orbax reads and writes on event loops of its own. What is left on them complains when it is
# collected, and a complaint is an error: of the test that left it, not of a later one.
new_event_loop = asyncio.new_event_loop
loops_were_opened = threading.Event()


def noticed_event_loop():
    loops_were_opened.set()
    return new_event_loop()


asyncio.new_event_loop = noticed_event_loop


def pytest_sessionstart(session):
    """Drops compiled programs of former weeks. Workers leave that to who started them."""
    if not hasattr(session.config, "workerinput"):
        for program in PROGRAMS.glob("*"):
            with contextlib.suppress(FileNotFoundError):  # another session drops them too
                if time.time() - program.stat().st_mtime > WEEK:
                    program.unlink()


def pytest_collection_finish(session):
    """What was imported stays: collections of garbage pass over it from now on."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


@pytest.fixture(autouse=True)
def leftovers_of_event_loops():
    yield
    if loops_were_opened.is_set():
        loops_were_opened.clear()
        gc.collect()
