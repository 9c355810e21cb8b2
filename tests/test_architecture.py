"""The picture of the architecture, held against the files: data flows one way, tests mirror it."""

import ast
import functools
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for package in ("rare_retention", "launch")
    for path in (ROOT / package).rglob("*.py")
}
READERS = [
    name
    for name in MODULES
    if name.startswith(tuple(f"rare_retention.{part}" for part in ("theory", "evidence", "report")))
    or name in ("rare_retention.study.results", "rare_retention.study.claims")
]


@functools.cache
def imports(name):
    """Modules of the project that a module imports."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[name].read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            below = {f"{node.module}.{alias.name}" for alias in node.names} & set(MODULES)
            found |= below or {node.module}  # a package is not loaded for its own parts' sake
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found & set(MODULES)


ACCELERATORS = {"jax", "jaxlib", "flax", "optax", "orbax", "grain"}


@functools.cache
def loaded(name):
    """What importing a module imports at once, of this project and of others."""
    found, nodes = set(), [ast.parse(MODULES[name].read_text())]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        nodes += ast.iter_child_nodes(node)
    return found


def loads_accelerators(name):
    """Accelerator libraries that importing a module loads, by the way of the project's own."""
    seen, queue, libraries = {name}, [name], set()
    while queue:
        for module in loaded(queue.pop()):
            libraries |= {module.split(".")[0]} & ACCELERATORS
            if module in MODULES and module not in seen:
                seen.add(module)
                queue.append(module)
    return libraries


def reachable(name):
    """Modules of the project that importing a module loads."""
    seen, queue = set(), [name]
    while queue:
        for module in imports(queue.pop()) - seen:
            seen.add(module)
            queue.append(module)
    return seen


@pytest.mark.parametrize("name", READERS)
def test_readers_of_results_never_load_the_loop(name):
    assert not reachable(name) & {"rare_retention.train.loop", "rare_retention.train.step"}


def test_theory_stands_alone():
    for name in MODULES:
        if name.startswith("rare_retention.theory"):
            assert all(module.startswith("rare_retention.theory") for module in imports(name))


def test_only_the_loop_joins_the_stages_of_a_run():
    stages = {"rare_retention.train.pipeline", "rare_retention.train.step", "rare_retention.record"}
    for name in MODULES:
        loaded = {stage for stage in stages if any(m.startswith(stage) for m in imports(name))}
        assert loaded < stages or name == "rare_retention.train.loop"


def test_nothing_imports_a_launcher_but_launchers():
    for name in MODULES:
        if not name.startswith("launch"):
            assert not [module for module in imports(name) if module.startswith("launch")]


LIGHT = [
    "rare_retention.experiment",
    "rare_retention.ladder",
    "rare_retention.study.grid",
    "rare_retention.report.build",
    *(name for name in MODULES if name.startswith("launch")),
]


@pytest.mark.parametrize("name", LIGHT)
def test_declarations_reports_and_launchers_load_no_accelerator_library(name):
    """Before something is computed: a config is checked, a page drawn and help shown without."""
    assert not loads_accelerators(name)
    assert loads_accelerators("rare_retention.train.loop") >= {"jax"}


def test_no_module_name_stands_four_times():
    """One says what `interference` is meant by the room it stands in; of four nobody knows."""
    counts = Counter(path.stem for path in MODULES.values() if path.stem != "__init__")
    assert not [name for name, count in counts.items() if count > 3]


def test_no_import_runs_in_a_circle():
    assert not [name for name in MODULES if name in reachable(name)]


def test_every_module_has_a_test_file_of_its_own():
    """tests/x/test_y.py for rare_retention/x/y.py: it is found, and shows what has none."""
    without = [
        str(path.relative_to(ROOT))
        for path in (ROOT / "rare_retention").rglob("*.py")
        if path.name != "__init__.py"
        and not (
            ROOT / "tests" / path.parent.relative_to(ROOT / "rare_retention") / f"test_{path.name}"
        ).exists()
    ]
    assert not without


def test_nothing_is_unpickled():
    """Files that others have sent are read as arrays, JSON or text: a pickle is a program."""
    refused = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
    for path in sorted([*ROOT.glob("rare_retention/**/*.py"), *ROOT.glob("launch/**/*.py")]):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                assert not refused & {alias.name.partition(".")[0] for alias in node.names}, path
            elif isinstance(node, ast.ImportFrom):
                assert (node.module or "").partition(".")[0] not in refused, path
            elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("np.load", "numpy.load"):
                given = {own.arg: ast.unparse(own.value) for own in node.keywords}
                assert given.get("allow_pickle") == "False", path
            elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("torch.load"):
                raise AssertionError(f"{path}: torch.load")
