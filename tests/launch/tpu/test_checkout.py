"""Which files hosts get."""

import subprocess

import made_slices
import pytest

from launch.tpu import checkout
from rare_retention.errors import UserError


def git(folder, *words):
    own = ["-c", "user.name=x", "-c", "user.email=x@example.com"]
    subprocess.run(["git", "-C", folder, *own, *words], check=True, capture_output=True)


@pytest.fixture
def repo(tmp_path):
    """A checkout with one file, committed."""
    git(tmp_path, "init", "-q")
    (tmp_path / "a file").write_text("x")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "first")
    return tmp_path


def test_hosts_get_the_commit(repo, tmp_path):
    spec = made_slices.spec(repo=str(repo))
    commit = checkout.commit(spec)
    assert len(commit) == 40
    *shell, script = checkout.upload(spec, commit)
    listed = script.replace("gcloud storage cp - ", "tar tz #")
    done = subprocess.run([*shell, listed], capture_output=True, text=True, check=True)
    assert done.stdout == "a file\n" and script.endswith(f"/launch/{commit}.tar.gz --quiet")


@pytest.mark.parametrize("name", ["a file", "new.py"])
def test_files_that_the_commit_lacks_are_refused(repo, name):
    (repo / name).write_text("changed")
    with pytest.raises(UserError, match=name):
        checkout.commit(made_slices.spec(repo=str(repo)))
    git(repo, "branch", "kept")
    assert checkout.commit(made_slices.spec(repo=str(repo), ref="kept"))


@pytest.mark.parametrize(
    ("changes", "says"),
    [({"ref": "nowhere"}, "knows no such commit"), ({"repo": "no/folder"}, "no such folder")],
)
def test_what_is_no_commit_is_refused(repo, changes, says):
    with pytest.raises(UserError, match=says):
        checkout.commit(made_slices.spec(**({"repo": str(repo)} | changes)))


def test_addresses_are_cloned_by_hosts():
    assert checkout.commit(made_slices.spec(repo="https://example.com/x.git")) == ""
    assert checkout.commit(made_slices.spec(repo="git@example.com:x.git")) == ""
