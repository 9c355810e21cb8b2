"""A cloud of the tests' own, and a checkout to install there."""

import subprocess

import fake_gcloud
import made_slices
import pytest


@pytest.fixture
def cloud(tmp_path, monkeypatch):
    """Makes the cloud of `fake_gcloud`; what its hosts run ends with the test."""
    folder = tmp_path / "cloud"

    def make(**state):
        for name, value in fake_gcloud.install(folder, **state).items():
            monkeypatch.setenv(name, value)
        return folder

    yield make
    fake_gcloud.kill(folder)


@pytest.fixture
def spec(tmp_path):
    """A slice of two hosts whose project is a checkout of one file."""
    repo = tmp_path / "repo"
    repo.mkdir()
    (repo / "constraints.txt").write_text("")
    own = ["-c", "user.name=x", "-c", "user.email=x@example.com"]
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "first"]):
        subprocess.run(["git", "-C", repo, *own, *words], check=True, capture_output=True)
    return made_slices.spec("v5p:2x2x2", repo=str(repo))
