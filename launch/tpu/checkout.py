"""Which files of the project hosts get: a commit of a checkout here, or what they clone."""

import shlex
import subprocess
from pathlib import Path

from launch.tpu import remote
from launch.tpu.runner import Arguments
from launch.tpu.spec import Spec
from rare_retention.errors import UserError


def commit(spec: Spec) -> str:
    """The commit of the checkout, empty if hosts clone.

    Raises:
        UserError: there is none, or the checkout has files that the commit lacks.
    """
    if "://" in spec.repo or spec.repo.startswith("git@"):
        return ""
    if not Path(spec.repo).is_dir():
        raise UserError(f"--repo={spec.repo}: no such folder; a checkout, or an address to clone")
    found = _git(spec, "rev-parse", "--verify", "--quiet", f"{spec.ref}^{{commit}}")
    if not found:
        raise UserError(f"--repo={spec.repo} --ref={spec.ref}: git knows no such commit there")
    changed = _git(spec, "status", "--porcelain") if spec.ref == "HEAD" else ""
    if changed:
        raise UserError(
            f"--repo={spec.repo}: {changed.split(maxsplit=1)[1].splitlines()[0]} is not committed, "
            "and hosts get what is; commit it, or name a commit with --ref"
        )
    return found


def upload(spec: Spec, commit: str) -> Arguments:
    """Command that puts the files of a commit into the workdir, where hosts find them.

    Args:
        spec: of the slice.
        commit: of the checkout.
    """
    archive = shlex.join(["git", "-C", spec.repo, "archive", "--format=tar.gz", commit])
    copy = shlex.join(["gcloud", "storage", "cp", "-", remote.bundle(spec, commit), "--quiet"])
    return ("bash", "-c", f"set -o pipefail; {archive} | {copy}")


def _git(spec: Spec, *words: str) -> str:
    """Output of git; empty if it fails."""
    try:
        done = subprocess.run(["git", "-C", spec.repo, *words], capture_output=True, text=True)
    except FileNotFoundError:
        raise UserError("git is not installed; --repo may be an address that hosts clone") from None
    return done.stdout.strip() if done.returncode == 0 else ""
