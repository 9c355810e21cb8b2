"""What is pinned: every package that an install takes, with the digests of its files."""

import configparser
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FILES = ("requirements.txt", "requirements-dev.txt")


def entries(name):
    """Pin -> its digests, of one file."""
    lines = re.sub(r"^#.*\n", "", (ROOT / name).read_text()).rstrip("\n")
    split = (re.split(r" \\\n +", entry) for entry in re.split(r"\n(?=\S)", lines))
    return {pin: digests for pin, *digests in split}


def names(requirements):
    """Packages that lines of requirements ask for, extras left out."""
    return {re.split(r"[\[<>=; ]", line)[0].lower().replace("_", "-") for line in requirements}


@pytest.mark.parametrize("name", FILES)
def test_each_pin_has_digests(name):
    found = entries(name)
    assert len(found) > 30
    for pin, digests in found.items():
        assert re.fullmatch(r"[a-z0-9-]+==\S+( ; .+)?", pin)
        assert digests and all(re.fullmatch("--hash=sha256:[0-9a-f]{64}", d) for d in digests), pin


def test_the_files_agree():
    base, dev = (entries(name) for name in FILES)
    assert not names(base) & names(dev)
    versions = (ROOT / "constraints.txt").read_text().splitlines()[1:]
    assert {*base, *dev} == {line for line in versions if not line.startswith("torch==")}


def test_all_that_setup_cfg_asks_for_is_pinned():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    extras = setup["options.extras_require"]
    base, dev = (names(entries(name)) for name in FILES)
    assert names(setup["options"]["install_requires"].split()) <= base
    assert names((extras["test"] + extras["docs"]).split()) <= base | dev


def test_nothing_says_where_packages_come_from():
    """No address, and no option of pip's but digests."""
    for name in (*FILES, "constraints.txt"):
        assert not re.search(r"://|--(?!hash=)|^-", (ROOT / name).read_text(), re.M), name
