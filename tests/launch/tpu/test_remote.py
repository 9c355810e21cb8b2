"""Scripts for hosts, run in shells of this machine."""

import os
import signal
import subprocess
import time

import fake_gcloud
import made_slices
import pytest

from launch.tpu import remote


@pytest.fixture
def host(tmp_path):
    """Runs a script on a host; its code and what it told."""
    environment = fake_gcloud.install(tmp_path / "cloud")
    home = tmp_path / "cloud" / "hosts" / "0" / "0"
    home.mkdir(parents=True)

    def run(script, code=""):
        own = {"HOME": str(home), "FAKE_HOST": "host-0", "FAKE_CODE": code}
        shell = ["bash", "-c", script]
        done = subprocess.run(shell, env=environment | own, capture_output=True, text=True)
        return done.returncode, remote.told(done.stdout), home

    yield run
    fake_gcloud.kill(tmp_path / "cloud")


def words(told):
    return [(one.word, one.rest) for one in told]


def wait_for(host, word):
    for _ in range(200):
        _, told, _ = host(remote.status())
        if told[0].word == word:
            return told[0]
        time.sleep(0.05)
    raise AssertionError(told)


def install(home, bucket_file):
    bucket_file.parent.mkdir(exist_ok=True)
    subprocess.run(["tar", "czf", bucket_file, "-C", os.path.dirname(__file__), "."], check=True)


@pytest.fixture
def ready(host, tmp_path):
    """A host with the project installed."""
    spec = made_slices.spec()
    install(tmp_path, tmp_path / "cloud" / "bucket" / "abc.tar.gz")
    code, told, _ = host(remote.setup(spec, "abc"))
    assert code == 0 and words(told) == [("installed", "")]
    return spec


def test_the_files_of_the_commit_are_installed_once(host, ready, tmp_path):
    _, _, home = host(remote.status())
    assert (home / "rare-retention-code" / "test_remote.py").exists()
    (home / "rare-retention-code" / "test_remote.py").unlink()
    assert host(remote.setup(ready, "abc"))[0] == 0
    assert not (home / "rare-retention-code" / "test_remote.py").exists()  # nothing was done
    install(tmp_path, tmp_path / "cloud" / "bucket" / "def.tar.gz")
    assert host(remote.setup(ready, "def"))[0] == 0
    assert (home / "rare-retention-code" / "test_remote.py").exists()


def test_a_host_that_cannot_write_the_workdir_says_so(host, tmp_path):
    broken = tmp_path / "cloud" / "bin" / "gcloud"
    broken.write_text("#!/bin/sh\nexit 1\n")
    code, told, home = host(remote.setup(made_slices.spec(), "abc"))
    assert code == 3 and told[0].word == "unwritable"
    assert told[0].rest.endswith("cannot write gs://my-bucket/quickstart/launch/probe-host-0")
    assert not (home / "rare-retention-code").exists()


def test_a_command_runs_on_without_its_shell_and_leaves_log_and_code(host, ready):
    code, told, home = host(remote.run(ready), code="7")
    assert code == 0 and words(told) == [("started", "")]
    assert wait_for(host, "ended").rest == "7"
    log = (home / "rare-retention-run" / "log").read_text()
    assert log.startswith("=== started 2")
    assert "-m launch.study --config=configs/quickstart.py --workdir=gs://my-bucket" in log
    assert "and --xla_a=true --xla_b=1" in log and "--multihost" in log


def test_a_command_that_runs_is_not_started_twice(host, ready):
    assert words(host(remote.status())[1]) == [("none", "")]
    assert words(host(remote.run(ready))[1]) == [("started", "")]
    assert words(host(remote.run(ready))[1]) == [("running", "")]
    other = made_slices.spec(command=("launch.train", "--config=x.py"))
    assert words(host(remote.run(other))[1]) == [("busy", "")]
    assert words(host(remote.setup(ready, "def"))[1]) == [("busy", "")]
    assert words(host(remote.status())[1]) == [("running", "")]


def test_a_command_that_was_killed_is_lost_and_starts_again(host, ready, tmp_path):
    host(remote.run(ready))
    fake_gcloud.kill(tmp_path / "cloud")
    assert wait_for(host, "lost")
    assert words(host(remote.run(ready))[1]) == [("started", "")]


def test_a_command_that_has_ended_may_be_started_again(host, ready):
    host(remote.run(ready), code="130")
    assert wait_for(host, "ended").rest == "130"
    assert words(host(remote.run(ready))[1]) == [("started", "")]
    assert words(host(remote.status())[1]) == [("running", "")]


def test_a_command_that_has_left_its_code_is_over_though_its_shell_still_ends(host, ready):
    _, _, home = host(remote.run(ready))
    (home / "rare-retention-run" / "code").write_text("0")
    assert words(host(remote.status())[1]) == [("ended", "0")]
    first = (home / "rare-retention-run" / "pid").read_text().split()[0]
    assert words(host(remote.run(ready))[1]) == [("started", "")]
    os.killpg(int(first), signal.SIGKILL)


def test_a_process_of_before_a_restart_is_not_taken_for_the_command(host, ready):
    _, _, home = host(remote.run(ready))
    pid = home / "rare-retention-run" / "pid"
    kept = pid.read_text()
    pid.write_text(f"{os.getpid()} another-boot\n")
    assert words(host(remote.status())[1]) == [("lost", "")]
    pid.write_text(kept)


def test_without_the_project_nothing_starts(host):
    code, told, _ = host(remote.run(made_slices.spec()))
    assert code == 5 and told[0].word == "bare"


def test_hosts_clone_an_address():
    script = remote.setup(made_slices.spec(repo="https://x.org/a b", ref="v1"), "")
    assert "git clone -q 'https://x.org/a b' . && git checkout -q v1" in script


def test_lines_of_hosts_stand_among_others():
    output = "noise\nrare-retention ended h-1 0\nrare-retention running h-2 \nrare-retention\n"
    assert remote.told(output) == [
        remote.Told("ended", "h-1", "0"),
        remote.Told("running", "h-2", ""),
    ]


def test_the_log_is_followed_or_shown():
    assert "-n 9 -F $HOME/" in remote.logs(9, follow=True)
    assert "-F" not in remote.logs(9, follow=False)
