"""Configuration files and command lines, and the one line that each mistake gives."""

import functools
import os
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from absl import flags

from rare_retention import flags as command_line
from rare_retention.config import ConfigError, config
from rare_retention.errors import UserError
from rare_retention.flags import define_path, load, parse, split

ROOT = Path(__file__).resolve().parent.parent


@config
class Toy:
    steps: int = 1
    name: str = "toy"

    def __post_init__(self) -> None:
        if self.steps > 100:
            raise ConfigError("steps", f"{self.steps} is more than 100")


@config
class Other:
    steps: int = 1


HEAD = "from toy_trees import ConfigError, Other, Toy, UserError, config, load\n"
FILES = {
    "plain.py": "def get_config(): return Toy(steps=2)",
    "text.py": "def get_config(size='paper'): return Toy(name=size)",
    "needed.py": "def get_config(size: str): return Toy(name=size)",
    "number.py": "def get_config(steps: 'int | None' = 3): return Toy(steps=steps or 50)",
    "choice.py": "from typing import Literal\n"
    "def get_config(size: Literal['small', 'paper']): return Toy(name=size)",
    "refuses.py": "def get_config(size):\n    raise ConfigError('size', f'no {size} here')",
    "own.py": "@config\nclass Part:\n    width: int = 3\n"
    "@config\nclass Whole:\n    part: Part = Part()\n"
    "def get_config(): return Whole()",
    "empty.py": "",
    "nothing.py": "def get_config(): pass",
    "other.py": "def get_config(): return Other()",
    "wrong.py": "def get_config():\n    return Toy(\n        steps='x',\n    )",
    "refused.py": "TOY = Toy(steps=101)",
    "foreign.py": "import pydantic\n"
    "pydantic.TypeAdapter(dict[str, list[int]]).validate_python({'a': [1, 'x']})",
    "syntax.py": "\ndef get_config(:",
    "raises.py": "def get_config():\n    return help_me()\n"
    "def help_me():\n    raise RuntimeError('a\\nb')",
    "library.py": "import json\njson.loads('{')",
    "imports.py": "import no_such_module",
    "field.py": "class Bad(ValueError):\n    field = 'steps'\nraise Bad('too many')",
    "user.py": "raise UserError('no data here')",
    "nested.py": "def get_config(): return load('wrong.py')",
}


@pytest.fixture(autouse=True)
def _files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trees = types.ModuleType("toy_trees")
    for thing in (ConfigError, Other, Toy, UserError, config, load):
        setattr(trees, thing.__name__, thing)
    monkeypatch.setitem(sys.modules, "toy_trees", trees)
    monkeypatch.chdir(tmp_path)
    for name, text in FILES.items():
        Path(name).write_text(HEAD + text)


@pytest.mark.parametrize(
    ("spec", "tree"),
    [
        ("plain.py", Toy(steps=2)),
        ("./plain.py", Toy(steps=2)),
        ("text.py", Toy(name="paper")),
        ("text.py:", Toy(name="paper")),
        ("text.py:64", Toy(name="64")),
        ("needed.py:small", Toy(name="small")),
        ("number.py", Toy(steps=3)),
        ("number.py:7", Toy(steps=7)),
        ("number.py:none", Toy(steps=50)),
        ("choice.py:paper", Toy(name="paper")),
    ],
)
def test_a_file_gives_its_configuration(spec: str, tree: Toy) -> None:
    assert load(spec) == tree


def test_a_file_may_import_what_stands_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also from elsewhere; what is installed comes first."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "toy_helper.py").write_text("STEPS = 7\n")
    (folder / "json.py").write_text("raise RuntimeError('hides the standard library')\n")
    text = "import json\nimport toy_helper\ndef get_config(): return Toy(steps=toy_helper.STEPS)"
    (folder / "study.py").write_text(HEAD + text)
    assert load("mine/study.py") == Toy(steps=7)
    assert load(str(folder / "study.py")) == Toy(steps=7)
    assert sys.path.count(str(folder)) == 1
    del sys.modules["toy_helper"]


def test_a_file_may_be_a_module_of_a_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong name is one line with the nearest, whether there is such a package or not."""
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "toy_package").mkdir()
    text = "def get_config(name='x'): return Toy(name=name)"
    (tmp_path / "toy_package" / "study.py").write_text(HEAD + text)
    assert load("toy_package.study:y") == Toy(name="y")
    for spec, line in (
        ("toy_package.stuby", "toy_package.stuby: no such file; did you mean toy_package.study?"),
        ("toy_backage.study", "toy_backage.study: no such file"),
    ):
        with pytest.raises(ConfigError) as caught:
            load(spec)
        assert str(caught.value) == line


def test_a_file_may_declare_classes_and_is_read_anew_each_time() -> None:
    assert load("own.py").part.width == 3
    Path("plain.py").write_text(HEAD + "def get_config(): return Toy(steps=4)")
    assert load("plain.py") == Toy(steps=4)


@pytest.mark.parametrize(
    ("spec", "line"),
    [
        ("plan.py", "plan.py: no such file; did you mean plain.py?"),
        ("./plain", "./plain: no such file; did you mean plain.py?"),
        ("zzz.py", "zzz.py: no such file"),
        ("nowhere/plain.py", "nowhere/plain.py: no such file"),
        ("", "no such file"),
        ("empty.py", "empty.py: there is no function get_config in it"),
        ("nothing.py", "nothing.py: get_config returned None"),
        ("plain.py:small", "plain.py: get_config takes no argument, got 'small'"),
        ("needed.py", "needed.py: an argument is needed, as in needed.py:size"),
        ("number.py:x", "number.py: steps: expected an integer or None, got 'x'"),
        (
            "choice.py:smal",
            "choice.py: size: expected 'small' or 'paper', got 'smal' (did you mean 'small'?)",
        ),
        ("refuses.py:small", "refuses.py:3: size: no small here"),
        ("wrong.py", "wrong.py:3: steps: expected an integer, got 'x'"),
        ("nested.py", "wrong.py:3: steps: expected an integer, got 'x'"),
        ("refused.py", "refused.py:2: steps: 101 is more than 100"),
        ("field.py", "field.py:4: steps: too many"),
        ("user.py", "user.py:2: no data here"),
        (
            "foreign.py",
            "foreign.py:3: a.1: Input should be a valid integer, unable to parse string as an "
            "integer",
        ),
        ("syntax.py", "syntax.py:3: SyntaxError: invalid syntax"),
        ("raises.py", "raises.py:5: RuntimeError: a b"),
        (
            "library.py",
            "library.py:3: JSONDecodeError: Expecting property name enclosed in double quotes: "
            "line 1 column 2 (char 1)",
        ),
        ("imports.py", "imports.py:2: ModuleNotFoundError: No module named 'no_such_module'"),
    ],
)
def test_a_mistake_in_a_file_is_one_line(spec: str, line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(spec)
    assert str(caught.value) == line


def test_split_takes_the_overrides_out() -> None:
    argv = ["prog", "--config=x.py", "--config.a.b=1=2", "--n=3", "-config.c", "-1", "--config.d="]
    assert split(argv) == (
        {"a.b": "1=2", "c": "-1", "d": ""},
        ["prog", "--config=x.py", "--n=3"],
    )
    assert split(["p", "--config.a=1", "--config.a", "2"]) == ({"a": "2"}, ["p"])
    assert split(["p", "--configure.a=1"]) == ({}, ["p", "--configure.a=1"])


def arguments(*argv: str, kind: type[Any] | None = Toy) -> tuple[Any, flags.FlagValues]:
    """What `parse` makes of a command line, and the flags it sets."""
    values = flags.FlagValues()
    flags.DEFINE_string("config", None, "Configuration.", flag_values=values)
    flags.DEFINE_string("workdir", None, "Results.", flag_values=values, required=True)
    flags.DEFINE_bool("dry_run", False, "Plan only.", flag_values=values)
    flags.DEFINE_integer("hosts", 1, "Hosts.", flag_values=values)
    return parse(["prog", *argv], kind, values), values


def test_a_command_line_gives_flags_and_a_configuration() -> None:
    argv = ["--config.name", "64", "--config=plain.py", "--workdir=w", "--dry_run"]
    tree, values = arguments(*argv, "--config.steps=7")
    assert tree == Toy(steps=7, name="64")
    assert (values["workdir"].value, values["dry_run"].value) == ("w", True)
    assert arguments("--config", "text.py:a", "--workdir", "w")[0] == Toy(name="a")


def test_a_path_may_start_at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell leaves the ~ of --name=~/x as it is, and so a folder called ~ was made."""
    monkeypatch.setenv("HOME", "/home/me")
    values = flags.FlagValues()
    monkeypatch.setattr(flags, "DEFINE", functools.partial(flags.DEFINE, flag_values=values))
    define_path("place", None, "somewhere")
    for given, wanted in {"~/x": "/home/me/x", "a/~/x": "a/~/x", "gs://b/~": "gs://b/~"}.items():
        values(["program", f"--place={given}"])
        assert values["place"].value == wanted
    with pytest.raises(flags.IllegalFlagValueError, match="there is no home folder ~nobody-here"):
        values(["program", "--place=~nobody-here/x"])


def test_without_a_configuration_the_positional_arguments_are_left() -> None:
    assert arguments("--workdir=w", "a", "b", kind=None)[0] == ["a", "b"]


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (["--workdir=w"], "--config is required, as in --config=configs/quickstart.py"),
        (["--config=plain.py"], "--workdir is required"),
        (["--workdr=w"], "Unknown command line flag 'workdr'. Did you mean: workdir ?"),
        (
            ["--hosts=x", "--workdir=w"],
            "flag --hosts=x: invalid literal for int() with base 10: 'x'",
        ),
        (
            ["--config=plain.py", "--workdir=w", "true"],
            "unexpected argument 'true'; flags are given as --name=VALUE",
        ),
        (["--config.steps"], "--config.steps needs a value, as in --config.steps=VALUE"),
        (
            ["--config.steps", "--dry_run"],
            "--config.steps needs a value, as in --config.steps=VALUE",
        ),
        (
            ["--config=other.py", "--workdir=w"],
            "other.py: get_config returned Other, but this program needs Toy",
        ),
        (
            ["--config=plain.py", "--workdir=w", "--config.step=3"],
            "step: no such field; did you mean steps?",
        ),
        (
            ["--config=plain.py", "--workdir=w", "--config.steps=300"],
            "steps: 300 is more than 100",
        ),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line(argv: list[str], line: str) -> None:
    with pytest.raises(UserError) as caught:
        arguments(*argv)
    assert str(caught.value) == line


def test_a_configuration_may_be_optional_but_not_what_changes_it() -> None:
    values = flags.FlagValues()
    flags.DEFINE_string("config", None, "configuration", flag_values=values)
    assert parse(["program"], Toy, values, optional=True) is None
    assert parse(["program", "--config=plain.py"], Toy, values, optional=True) == Toy(steps=2)
    values.unparse_flags()
    with pytest.raises(UserError, match="--config is required"):
        parse(["program", "--config=", "--config.steps=3"], Toy, values, optional=True)


def test_overrides_need_a_configuration() -> None:
    with pytest.raises(UserError) as caught:
        arguments("--workdir=w", "--config.steps=3", kind=None)
    assert str(caught.value) == "Unknown command line flag 'config.steps'"


LAUNCHER = '''"""Trains a toy.

Example:
    python toy.py --config=plain.py --config.steps=3 --workdir=/tmp/x
"""

from absl import flags

from rare_retention.config import ConfigError
from rare_retention.flags import run
from toy_trees import Toy

WORKDIR = flags.DEFINE_string("workdir", None, "Where results go.", required=True)


def main(tree: Toy) -> int | None:
    if tree.steps == 13:
        raise ConfigError("steps", "13 is unlucky")
    if tree.steps == 14:
        raise RuntimeError("a bug")
    print(tree, WORKDIR.value)
    return 3 if tree.steps == 15 else None


if __name__ == "__main__":
    run(main, Toy)
'''

TREES = """from rare_retention.config import ConfigError, config
from rare_retention.errors import UserError
from rare_retention.flags import load

Other = None

@config
class Toy:
    steps: int = 1
"""


def test_a_launcher_runs_helps_and_fails_cleanly(tmp_path: Path) -> None:
    Path("launcher.py").write_text(LAUNCHER)
    Path("toy_trees.py").write_text(TREES)

    def launch(*argv: str) -> tuple[int, str, str]:
        done = subprocess.run(
            [sys.executable, "launcher.py", *argv],
            capture_output=True,
            text=True,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    given = ("--config=plain.py", "--workdir=w")
    assert launch(*given) == (0, "Toy(steps=2) w\n", "")
    assert launch(*given, "--config.steps=15") == (3, "Toy(steps=15) w\n", "")
    assert launch(*given, "--config.steps=13") == (2, "", "steps: 13 is unlucky\n")
    assert launch(*given, "--config.steps=x") == (
        2,
        "",
        "steps: expected an integer, got 'x'\n",
    )
    code, _, error = launch(*given, "--config.steps=14")
    assert (code, error.splitlines()[-1]) == (1, "RuntimeError: a bug")
    code, text, error = launch("--help")
    assert (code, error) == (0, "")
    assert text.startswith("Trains a toy.\n\nExample:\n    python toy.py --config=plain.py")
    shown = [line.split(":")[0].strip() for line in text.splitlines() if line.startswith("  --")]
    assert shown == ["--config", "--extensions", "--workdir"]


def test_ctrl_c_is_a_line_and_an_exit_code_wherever_it_comes(capsys):
    def interrupted(_):
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as caught:
        command_line._guard(interrupted)([])
    assert caught.value.code == 130
    assert capsys.readouterr().err == f"\n{command_line.STOPPED}\n"
