"""The command line of the launchers: from arguments to a configuration.

Example:
    python -m launch.study --config=configs/x.py:small --config.run.steps=100 --workdir=/tmp/x

`--config` names a Python file that defines `get_config()` or `get_config(size: str = "paper")`, and
after a colon its argument; `--config.FIELD=VALUE` changes a field of what it returns.
"""

import difflib
import importlib.util
import inspect
import os
import re
import sys
import traceback
import types
from collections import deque
from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, NoReturn, TypeVar, overload

import pydantic
from absl import app, flags

from rare_retention import annotations, hosts
from rare_retention.config import override
from rare_retention.errors import ConfigError, UserError

T = TypeVar("T")

flags.disclaim_key_flags()  # what `define_path` defines belongs to the module that calls it

Check = Callable[[Any, Collection[str]], None]
"""Of a configuration with its overrides, and the dotted paths of the fields that flags have set."""


def extend(names: Sequence[str]) -> None:
    """Runs files of the user's own, which add tasks, rules, claims and the like.

    Raises:
        ConfigError: There is no such file, or it fails.
    """
    for name in names:
        path = _path(name)
        if not path.is_file():
            raise ConfigError("", "no such file", name)
        _run(path, name)


def _run(path: Path, name: str) -> types.ModuleType:
    """Runs a Python file, under a name of its own: the classes that it defines can be resolved.

    Raises:
        ConfigError: It fails.
    """
    module = types.ModuleType("config_" + re.sub(r"\W", "_", name))
    module.__file__ = name
    sys.modules[module.__name__] = module
    beside = str(path.parent.resolve())
    if beside not in sys.path:
        sys.path.append(beside)  # behind all that is installed, which it cannot hide
    try:
        exec(compile(path.read_bytes(), name, "exec"), module.__dict__)
    except Exception as error:
        if isinstance(error, ConfigError) and error.source:
            raise
        raise _located(error, name) from error
    return module


class _PathParser(flags.ArgumentParser[str]):
    """Paths on a disk or on gs://, `~` as a shell would have it: it leaves that of --flag=~/x."""

    syntactic_help = "a path"

    def parse(self, argument: str) -> str:
        kind, remote, _ = argument.partition("://")
        if remote and kind != "gs":
            raise ValueError(f"expected a local path or gs://, {kind}:// is not served; mount it")
        path = os.path.expanduser(argument)
        if path.startswith("~"):
            user = path.split("/")[0]
            raise ValueError(f"there is no home folder {user}; write ./{path} for one of that name")
        return path


def define_path(
    name: str, default: str | None, text: str, *, shared: bool = False
) -> "flags.FlagHolder[str | None]":
    """Defines a flag that is a path, local or remote, in which `~` is the user's home folder.

    Args:
        name: of the flag.
        default: its value where none is given.
        text: its help.
        shared: whether another launcher may have a flag of this name.
    """
    return flags.DEFINE(_PathParser(), name, default, text, allow_override=shared)


def load(spec: str) -> Any:
    """The configuration of a file, which may import modules that stand beside it.

    Args:
        spec: `path/to/file.py`, or `path/to/file.py:argument`; of an installed package
            `package.module` in place of the path.

    Raises:
        ConfigError: There is no such file, it fails, or it refuses the argument.
    """
    name, _, argument = spec.partition(":")
    path = _path(name)
    if not path.is_file():
        stems = sorted(file.stem for file in path.parent.glob("*.py"))
        near = difflib.get_close_matches(path.stem, stems)
        of_package = name.removesuffix(path.stem) if path != Path(name) else None
        hint = ", ".join(
            str(path.with_name(f"{stem}.py")) if of_package is None else of_package + stem
            for stem in near
        )
        raise ConfigError("", f"no such file{hint and f'; did you mean {hint}?'}", name)
    module = _run(path, name)
    try:
        tree = _get_config(module, name, argument)
    except Exception as error:
        if isinstance(error, ConfigError) and error.source:
            raise
        raise _located(error, name) from error
    if not annotations.is_config(type(tree)):
        raise ConfigError("", f"get_config returned {annotations.show(tree)}", name)
    return tree


def _path(name: str) -> Path:
    """The file of a config: its path, or that of a module of a package, as configs.quickstart."""
    path = Path(name).expanduser() if name.startswith("~/") else Path(name)
    *package, module = name.split(".")
    dotted = package and all(part.isidentifier() for part in (*package, module))
    if path.is_file() or path.suffix == ".py" or not dotted:
        return path
    try:
        found = importlib.util.find_spec(".".join(package))
    except ImportError:
        return path
    places = found.submodule_search_locations if found is not None else None
    return Path(next(iter(places)), f"{module}.py") if places else path


def _get_config(module: types.ModuleType, name: str, argument: str) -> Any:
    get_config = getattr(module, "get_config", None)
    if get_config is None:
        raise ConfigError("", "there is no function get_config in it", name)
    parameters = list(inspect.signature(get_config, eval_str=True).parameters.values())
    if not argument:
        if parameters and parameters[0].default is inspect.Parameter.empty:
            raise ConfigError("", f"an argument is needed, as in {name}:{parameters[0].name}", name)
        return get_config()
    if not parameters:
        raise ConfigError("", f"get_config takes no argument, got {argument!r}", name)
    annotation = parameters[0].annotation
    annotation = str if annotation is inspect.Parameter.empty else annotation
    value = annotations.read(annotation, argument)
    if not annotations.fits(annotation, value):
        raise ConfigError(parameters[0].name, annotations.wrong(annotation, value), name)
    return get_config(value)


def _located(error: Exception, name: str) -> ConfigError:
    """An error raised in a file, as one line that says where."""
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == name]
    source = f"{name}:{lines[-1]}" if lines else name
    field = getattr(error, "field", "") if isinstance(error, ValueError) else ""
    message = getattr(error, "message", "") or str(error)
    match error:
        case SyntaxError():
            source = f"{error.filename}:{error.lineno}"
            message = f"{type(error).__name__}: {error.msg}"
        case pydantic.ValidationError():
            detail = error.errors(include_url=False)[0]
            field, message = ".".join(map(str, detail["loc"])), detail["msg"]
        case _ if not (field or isinstance(error, UserError)):
            message = f"{type(error).__name__}: {error}"
    return ConfigError(field, " ".join(message.split()), source)


def split(argv: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Parts `--config.FIELD=VALUE` and `--config.FIELD VALUE` from the other arguments."""
    changes: dict[str, str] = {}
    others: list[str] = []
    queue = deque(argv)
    while queue:
        argument = queue.popleft()
        option = re.fullmatch(r"--?config\.([^=]*)(?:=(.*))?", argument, re.DOTALL)
        if option is None:
            others.append(argument)
            continue
        field, value = option.groups()
        if value is None and (not queue or queue[0].startswith("--")):
            raise UserError(f"{argument} needs a value, as in {argument}=VALUE")
        changes[field] = queue.popleft() if value is None else value
    return changes, others


def parse(
    argv: Sequence[str],
    config: type[Any] | None = None,
    values: flags.FlagValues = flags.FLAGS,
    check: Check | None = None,
    optional: bool = False,
) -> Any:
    """Parses a command line into absl's flags and a configuration.

    Args:
        argv: The program's name and its arguments.
        config: Class of the configuration that the launcher needs, None if it needs none.
        values: Flags to set, with one called `config` if `config` is given.
        check: Refuses flags that would have no effect; None takes all that fit.
        optional: Whether the launcher can do without the configuration.

    Returns:
        The configuration with its overrides, or, without `config`, the positional arguments. None
        where the configuration is optional and not given.

    Raises:
        UserError: A flag is not known, or does not fit.
        ConfigError: The configuration does not load, or refuses an override.
    """
    changes, others = split(argv) if config else ({}, list(argv))
    try:
        arguments = values(others)[1:]
    except flags.Error as error:
        message = re.sub(r"flag --(\w+)=None: Flag .*", r"--\1 is required", str(error))
        raise UserError(" ".join(message.split())) from None
    if "extensions" in values:
        extend(values["extensions"].value or [])
    if config is None:
        return arguments
    if arguments:
        raise UserError(f"unexpected argument {arguments[0]!r}; flags are given as --name=VALUE")
    if not values.config:
        if optional and not changes:
            return None
        raise UserError("--config is required, as in --config=configs/quickstart.py")
    tree = load(values.config)
    if not isinstance(tree, config):
        message = f"get_config returned {type(tree).__name__}, but this program needs "
        raise ConfigError("", message + config.__name__, values.config)
    tree = override(tree, changes)
    if check is not None:
        check(tree, changes)
    return tree


@overload
def run(main: Callable[[list[str]], int | None]) -> NoReturn: ...


@overload
def run(
    main: Callable[[T], int | None], config: type[T], check: Check | None = None
) -> NoReturn: ...


@overload
def run(
    main: Callable[[T | None], int | None],
    config: type[T],
    check: Check | None = None,
    *,
    optional: Literal[True],
) -> NoReturn: ...


def run(
    main: Callable[[Any], int | None],
    config: type[Any] | None = None,
    check: Check | None = None,
    optional: bool = False,
) -> NoReturn:
    """Runs a launcher and exits: with 2 and one line on stderr after a `UserError`.

    Args:
        main: Takes the configuration, or the positional arguments if there is none; returns the
            exit code.
        config: Class of the configuration that `--config` must give; None for no such flag.
        check: As `parse` takes it.
        optional: As `parse` takes it; `main` is then given None for no configuration.
    """
    text = "Python files of your own, by commas, that add tasks, rules, claims and the like"
    flags.DEFINE_list("extensions", [], text, module_name=sys.argv[0])
    if config is not None:
        text = "Python file with get_config, FILE.py or FILE.py:ARGUMENT; --config.FIELD=VALUE "
        text += "changes a field of what it returns"
        flags.DEFINE_string("config", None, text, module_name=sys.argv[0])
    app.run(_guard(main), flags_parser=_guard(partial(_parse_or_help, config, check, optional)))


def _parse_or_help(
    config: type[Any] | None, check: Check | None, optional: bool, argv: list[str]
) -> Any:
    if not {"--help", "-help", "-h", "-?", "--helpshort"}.isdisjoint(argv):
        app.usage(shorthelp=True, writeto_stdout=True, exitcode=0)
    return parse(argv, config, check=check, optional=optional)


INTERRUPTED = 130
"""Exit code after Ctrl-C: 128 and the signal's number."""

STOPPED = "stopped; files that were written are whole, and the same command goes on"


def _guard(function: Callable[[Any], T]) -> Callable[[Any], T]:
    """Turns a UserError into its message and exit code 2, and Ctrl-C into a line and 130."""

    def guarded(argument: Any) -> T:
        try:
            return function(argument)
        except UserError as error:
            print(error, file=sys.stderr)
            hosts.leave_after(error, error.code)
            sys.exit(error.code)
        except KeyboardInterrupt as error:
            print(f"\n{STOPPED}", file=sys.stderr)
            hosts.leave_after(error, INTERRUPTED)
            sys.exit(INTERRUPTED)
        except BrokenPipeError:  # the reader, such as `head`, has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)
        except Exception as error:
            if hosts.several():
                hosts.all_fail()  # or it ends here, since another one is gone
                traceback.print_exc()
                hosts.leave_after(error, 1)
            raise

    return guarded
