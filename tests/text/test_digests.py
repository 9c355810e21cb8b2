"""Digests of token files: what they read, what they see, and what they say."""

import hashlib

import numpy as np
import pytest
from etils import epath
from hypothesis import given
from hypothesis import strategies as st

from rare_retention.errors import UserError
from rare_retention.text import digests, token_files
from rare_retention.text.digests import BLOCK, BLOCKS, LEAST, WHOLE, change, names, spans
from rare_retention.text.token_files import TokenFile, scan

WINDOW = 64  # bytes that the tests take for a window


@pytest.fixture
def small(monkeypatch):
    """Digests of a hundredth of the size, so that small files are sampled."""
    for name, value in {"WHOLE": 2**12, "BLOCK": 2**5, "BLOCKS": 2**6}.items():
        monkeypatch.setattr(digests, name, value)


def write(path, size, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(np.random.default_rng(seed).bytes(size))
    return epath.Path(path)


def digest(path):
    return digests.digests(scan([epath.Path(path)], "uint16"))[0]


@given(st.integers(1, 2**45), st.integers(1, 5000))
def test_what_is_read_is_spread_over_the_file_and_bounded(size, files):
    found = spans(size, files)
    assert found == spans(size, files)
    assert found[0][0] == 0 and found[-1][1] == size
    starts, stops = zip(*found, strict=True)
    assert all(stop <= start for stop, start in zip(stops, starts[1:], strict=False))
    read = sum(stops) - sum(starts)
    assert files * read <= max(WHOLE, files * LEAST * BLOCK)
    if len(found) > 1:
        assert len(found) == max(BLOCKS // files, LEAST)
        assert max(np.diff(starts)) <= 2 * size / (len(found) - 2)
    else:
        assert read == size


def test_known_places_of_blocks_stay_what_they_were():
    """Workdirs hold digests of these places: a change here is a new VERSION."""
    starts = [start for start, _ in spans(10**9, 1)]
    assert (len(starts), starts[:4]) == (2048, [0, 249118, 498862, 1185556])


def test_a_small_file_has_the_digest_that_anyone_can_compute(tmp_path):
    path = write(tmp_path / "a.npy", 10_000)
    assert digest(path) == hashlib.sha256(path.read_bytes()).hexdigest()
    [file] = scan([path], "uint16")
    assert digests.is_whole(file, 1) and not digests.is_whole(file._replace(tokens=2**30), 1)


@pytest.mark.parametrize("size", [2**11, 2**16], ids=["whole", "sampled"])
def test_windows_in_another_order_are_seen(size, tmp_path, small):
    path = write(tmp_path / "a.npy", size)
    before, windows = digest(path), np.frombuffer(path.read_bytes(), np.uint8).reshape(-1, WINDOW)
    assert digests.is_whole(scan([path], "uint16")[0], 1) == (size == 2**11)
    order = np.random.default_rng(1).permutation(len(windows))
    for changed in (windows[order], windows[::-1], np.roll(windows, 1, axis=0)):
        path.write_bytes(changed.tobytes())
        assert digest(path) != before
    path.write_bytes(windows.tobytes())
    assert digest(path) == before


@pytest.mark.parametrize("size", [2**11, 2**16], ids=["whole", "sampled"])
def test_another_text_and_another_length_are_seen(size, tmp_path, small):
    path = write(tmp_path / "a.npy", size)
    found = {digest(path), digest(write(tmp_path / "b.npy", size, seed=1))}
    zeros = [tmp_path / "c.npy", tmp_path / "d.npy"]
    for more, zero in enumerate(zeros):
        zero.write_bytes(bytes(size + 2 * more))
    assert len(found | {digest(zero) for zero in zeros}) == 4


def test_first_and_last_block_are_always_read(tmp_path, small):
    content = bytearray(write(tmp_path / "a.npy", 2**16).read_bytes())
    before = digest(tmp_path / "a.npy")
    for place in (0, -1):
        content[place] ^= 1
        (tmp_path / "a.npy").write_bytes(content)
        assert digest(tmp_path / "a.npy") != before
        content[place] ^= 1


def test_remote_files_have_the_same_digests(tmp_path, small, monkeypatch):
    paths = [write(tmp_path / "a.npy", 2**16), write(tmp_path / "b.npy", 0)]
    local = digests.digests(scan(paths, "uint16"))
    monkeypatch.setattr(token_files, "is_local", lambda _: False)
    assert digests.digests(scan(paths, "uint16")) == local


def test_a_file_that_shrinks_meanwhile_is_one_line(tmp_path, monkeypatch):
    path = write(tmp_path / "a.npy", 100)
    files = scan([path], "uint16")
    path.write_bytes(b"1234")
    with pytest.raises(UserError, match=r"a\.npy: has become shorter since it was opened"):
        digests.digests(files)


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["/x/a.npy"], ["a.npy"]),
        (["/x/a.npy", "/x/b.npy"], ["a.npy", "b.npy"]),
        (["/x/y/a.npy", "/x/z/a.npy"], ["y/a.npy", "z/a.npy"]),
        (["/x/a.npy", "/x/z/a.npy"], ["a.npy", "z/a.npy"]),
        (["gs://b/xy/a.npy", "gs://b/xz/a.npy"], ["xy/a.npy", "xz/a.npy"]),
    ],
)
def test_names_start_below_the_folder_of_all(paths, expected):
    assert names([TokenFile(epath.Path(path), "uint16", 1) for path in paths]) == expected


@pytest.mark.parametrize(
    ("after", "line"),
    [
        (["a 1", "b 2", "c 3"], ""),
        (["a 1", "b 2"], "2 files where there were 3"),
        (["a 1", "b 9", "c 3"], "other bytes in b"),
        (["a 8", "b 9", "c 3"], "other bytes in a, and 1 more"),
        (["a 1", "x 2", "c 3"], "b is now x"),
        (["b 2", "c 3", "d 1"], "the same files in another order: b now stands where a stood, and"
         " 2 more"),
        (["a 2", "b 1", "c 3"], "the same files in another order: a holds what another held, and 1"
         " more"),
        (["a 1", "b 3", "c 3"], "other bytes in b"),
    ],
)  # fmt: skip
def test_a_change_is_told_in_one_clause(after, line):
    assert change(["a 1", "b 2", "c 3"], after) == line
