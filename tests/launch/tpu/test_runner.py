"""Who runs commands."""

import subprocess
import sys

import pytest

from launch.tpu.runner import Answer, CommandFailed, Dry, Real, Recorder, do, name, together
from rare_retention.errors import UserError

SAY = (sys.executable, "-c", "import sys; print(sys.stdin.read() or 'silence')")


def test_the_real_one_gives_what_was_printed():
    assert do(Real(), SAY, text="a line") == "a line\n"


def test_the_real_one_does_not_wait_for_a_terminal():
    ask = f"from launch.tpu.runner import Real, do; print(do(Real(), {SAY!r}, assumed='other'))"
    words = [sys.executable, "-c", ask]
    done = subprocess.run(words, input="typed", capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["silence"]


def test_a_command_that_fails_is_named_with_its_last_lines():
    fails = (sys.executable, "-c", "import sys; sys.exit('first\\n\\nERROR: quota')")
    with pytest.raises(CommandFailed, match=r"first ERROR: quota$"):
        do(Real(), fails)


def test_a_missing_program_is_named():
    for call in (Real().ask, Real().show):
        with pytest.raises(UserError, match="no-such-program is not installed"):
            call(("no-such-program",))


def test_a_dry_run_prints_what_a_shell_can_run(capsys):
    assert Dry().ask(("printf", "%s\n", "it's $HOME"), assumed="x") == Answer(output="x")
    assert Dry().ask(SAY, text="a 'word'").code == 0
    Dry().show(("echo", "shown"))
    script = capsys.readouterr().out
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "it's $HOME\na 'word'\nshown\n"


def test_commands_side_by_side_keep_their_order():
    each = [(sys.executable, "-c", f"print({index})") for index in range(4)]
    for runner in (Real(), Recorder(lambda words: Answer(output=words[2][6] + "\n"))):
        assert [answer.output for answer in together(runner, each)] == ["0\n", "1\n", "2\n", "3\n"]


def test_a_command_is_named_without_its_flags():
    assert name(("gcloud", "describe", "x", "--zone=z", "y")) == "gcloud describe x"
    assert name(("gcloud", "list")) == "gcloud list"
