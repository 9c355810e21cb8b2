"""The launcher's flags: from a command line to a spec, and what each verb prints."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
from absl import flags
from absl.testing import flagsaver

from launch.tpu import __main__ as tpu
from rare_retention import flags as command_line
from rare_retention.errors import UserError

SLICE = """--name=rare
--project=my-project
--zone=us-west4-a
--topology=v5e:4x4
--workdir=gs://my-bucket/quickstart
--command=launch.study --config=configs/quickstart.py --config.run.steps="10"
"""


@pytest.fixture
def call(tmp_path):
    """Exit code of the launcher; its UserError passes through."""
    (tmp_path / "slice.flags").write_text(SLICE)

    def called(*arguments):
        with flagsaver.flagsaver():
            flags.FLAGS.unparse_flags()
            file = f"--flagfile={tmp_path}/slice.flags"
            return tpu.main(command_line.parse(["launch.tpu", file, *arguments]))

    return called


def read(call, *arguments):
    """The spec that flags describe."""
    found = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tpu, "_carry_out", lambda verb, spec, runner: found.append(spec) or 0)
        assert call("create", *arguments) == 0
    return found[0]


def test_a_file_of_flags_is_a_spec(call):
    spec = read(call)
    assert spec.command == (
        *("launch.study", "--config=configs/quickstart.py", "--config.run.steps=10"),
    )
    assert spec.workers == 4 and spec.api == "queued" and spec.capacity == "spot"
    assert "xla_tpu_scoped_vmem_limit_kib=98304" in spec.libtpu


def test_tpu7x_is_an_instance_group_unless_said_otherwise(call):
    assert read(call, "--topology=tpu7x:2x2x2").api == "group"
    with pytest.raises(UserError, match="does not serve tpu7x"):
        call("create", "--topology=tpu7x:2x2x2", "--api=queued")


def test_compiler_flags_are_changed_one_by_one(call):
    assert read(call, "--libtpu=none", "--libtpu=xla_a=1").libtpu == "--xla_a=1"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["crate"], "launch.tpu crate: no such verb; did you mean create?"),
        ([], "launch.tpu : no such verb; expected one of create, setup"),
        (["create", "again"], "launch.tpu again: no such verb"),
        (["create", "--name="], "--name is required"),
        (["create", "--command='"], "No closing quotation"),
        (["jobset"], "--image is required here"),
        (["xpk", "--image=x"], "--cluster is required here"),
        (["watch", "--command="], "--command is required here"),
        (["run", "--workdir="], "--workdir is required here"),
        (["logs", "--worker=4"], "the hosts are 0 to 3"),
    ],
)
def test_mistakes_are_told_in_a_line(call, arguments, says):
    with pytest.raises(UserError) as refused:
        call(*arguments)
    assert says in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize("verb", ["create", "run", "logs", "fetch", "delete", "watch", "setup"])
@pytest.mark.parametrize("topology", ["v5e:4x4", "tpu7x:2x2x2"])
def test_a_dry_run_prints_commands_that_a_shell_reads(call, verb, topology, capsys, tmp_path):
    repo = "--repo=https://example.com/x.git"
    assert call(verb, "--dry_run", f"--topology={topology}", repo, f"--into={tmp_path}/no") == 0
    script = capsys.readouterr().out
    assert "gcloud" in script and not (tmp_path / "no").exists()
    subprocess.run(["bash", "-n", "-c", script], check=True)


def test_a_dry_run_of_run_lists_the_compilers_flags(call, capsys):
    call("run", "--dry_run")
    assert "--xla_tpu_enable_async_collective_fusion=true" in capsys.readouterr().out


def test_generators_print(call, capsys):
    assert call("jobset", "--image=x", "--topology=tpu7x:2x2x2", "--slices=2") == 0
    assert call("sky") == 0
    assert call("xpk", "--image=x", "--cluster=c") == 0
    printed = capsys.readouterr().out
    assert "kind: JobSet" in printed and "use_spot: true" in printed
    assert "xpk workload create --workload=rare" in printed


def blocks(language):
    """Code of the page in a language, in order."""
    page = Path(__file__).parents[3] / "docs" / "cloud_tpu.md"
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)


COMMANDS = re.findall(r"python -m launch\.tpu (.*?)(?: [#|>].*)?$", "\n".join(blocks("sh")), re.M)


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_of_the_page_can_be_given(command, tmp_path, monkeypatch):
    (page,) = blocks("text")
    (tmp_path / "slice.flags").write_text(page)
    monkeypatch.chdir(tmp_path)
    given = []
    for name in ("_carry_out", "_print"):
        monkeypatch.setattr(tpu, name, lambda verb, spec, *_: given.append((verb, spec)) or 0)
    with flagsaver.flagsaver():
        flags.FLAGS.unparse_flags()
        assert tpu.main(command_line.parse(["launch.tpu", *shlex.split(command)])) == 0
    ((verb, spec),) = given
    assert verb == command.split()[0] and spec.command[0] == "launch.study"
    assert spec.workdir == "gs://my-bucket/retention"


def test_the_page_shows_all_main_verbs():
    assert {command.split()[0] for command in COMMANDS} >= {
        *("watch", "logs", "fetch", "delete", "jobset", "xpk", "sky"),
    }
