"""What a wheel has beside the package: launchers as a command, experiments as modules."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = (
    *("rare_retention", "launch", "configs"),
    *("setup.cfg", "pyproject.toml", "README.md", "LICENSE"),
)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Folder with the content of the wheel, as it is installed."""
    source, built, site = (tmp_path_factory.mktemp(name) for name in ("source", "built", "site"))
    for name in SOURCES:  # setuptools leaves things behind where it builds
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-q"]
    subprocess.run([*build, "-w", built, source], check=True, capture_output=True)
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        file.extractall(site)
    return site


def run(site, *command):
    """A Python that sees the wheel before the checkout, started elsewhere."""
    environment = os.environ | {"PYTHONPATH": str(site)}
    return subprocess.run(
        [sys.executable, *command], cwd=site.parent, env=environment, capture_output=True, text=True
    )


def test_all_of_the_package_is_in_it(site):
    for package in ("rare_retention", "launch", "configs"):
        own = {path.relative_to(ROOT) for path in (ROOT / package).rglob("*.py")}
        assert own == {path.relative_to(site) for path in (site / package).rglob("*.py")}
    templates = ROOT / "rare_retention" / "report" / "templates"
    for path in [*templates.iterdir(), ROOT / "rare_retention" / "py.typed"]:
        assert (site / path.relative_to(ROOT)).exists()


def test_the_command_is_there(site):
    (about,) = site.glob("*.dist-info/entry_points.txt")
    assert "rare-retention = launch.__main__:main" in about.read_text()


def test_an_installed_experiment_runs_by_its_module(site):
    shown = run(
        site, "-m", "launch", "show_batch", "--config=configs.synthetic.injection", "--step=399"
    )
    assert shown.returncode == 0, shown.stderr
    assert "regression 2        248" in shown.stdout
    ask = "from rare_retention.flags import load; import rare_retention as r; print(r.__file__); "
    found = run(site, "-c", ask + "print(load('configs.synthetic.phase:small').name)")
    assert found.stdout.splitlines() == [
        str(site / "rare_retention" / "__init__.py"),
        "phase diagram",
    ]


ALL = "checkpoints, evidence, exchange, fetch, match"


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (["--help"], 0, f"rare-retention NAME --help, where NAME is one of {ALL}"),
        ([], 2, f"rare-retention : no such launcher; expected one of {ALL}"),
        (["stuby"], 2, "rare-retention stuby: no such launcher; did you mean study?"),
        (["common"], 2, f"rare-retention common: no such launcher; expected one of {ALL}"),
    ],
)
def test_launchers_are_named(site, arguments, code, line):
    shown = run(site, "-m", "launch", *arguments)
    printed = shown.stderr if code else shown.stdout
    assert shown.returncode == code and printed.startswith(line) and printed.count("\n") == 1
