import time
from io import BytesIO

import buckets
import numpy as np
import pytest
from etils import epath

from rare_retention.errors import UserError
from rare_retention.text import token_files
from rare_retention.text.token_files import TokenFile, find, matching, read_contents, scan


def raw(path, tokens, dtype="<u2"):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.asarray(tokens).astype(dtype).tofile(path)
    return epath.Path(path)


def names(paths):
    return [path.name for path in paths]


def test_a_folder_is_its_token_files_sorted_by_name(tmp_path):
    for name in ("b.npy", "a.bin", "c.npy", "notes.txt", "a.csv.gz"):
        raw(tmp_path / name, [1])
    assert names(find(str(tmp_path))) == ["a.bin", "b.npy", "c.npy"]
    assert names(find(f"{tmp_path}/")) == ["a.bin", "b.npy", "c.npy"]
    assert names(find(f"{tmp_path}/a.csv.gz")) == ["a.csv.gz"]


def test_a_glob_may_lead_through_folders(tmp_path, monkeypatch):
    for name in ("y/b.npy", "x/a.npy", "x/b.txt", "x/deep/c.npy"):
        raw(tmp_path / name, [1])
    found = find(f"{tmp_path}/*/*.npy")
    assert [path.relative_to(tmp_path).as_posix() for path in found] == ["x/a.npy", "y/b.npy"]
    monkeypatch.chdir(tmp_path)
    assert [path.as_posix() for path in matching("?/a.npy")] == ["x/a.npy"]
    assert names(matching("x/**/*.npy")) == ["a.npy", "c.npy"]
    assert names(matching("x/a.npy")) == ["a.npy"]


def test_what_is_called_as_a_pattern_is_none(tmp_path):
    for name in ("x[1]/a.npy", "x1/b.npy", "x[1]/c*.npy", "x[1]/cd.npy"):
        raw(tmp_path / name, [1])
    assert names(find(f"{tmp_path}/x[1]")) == ["a.npy", "c*.npy", "cd.npy"]
    assert names(find(f"{tmp_path}/x[1]/a.npy")) == ["a.npy"]
    assert names(matching(f"{tmp_path}/x[1]/c*.npy")) == ["c*.npy"]
    assert names(find(f"{tmp_path}/x[!2]/*.npy")) == ["b.npy"]


@pytest.mark.parametrize("local", [True, False])
@pytest.mark.parametrize("dtype", ["uint16", "uint32"])
def test_windows_are_read_from_maps_and_by_ranges(local, dtype, tmp_path, monkeypatch):
    monkeypatch.setattr(token_files, "is_local", lambda _: local)
    tokens = np.random.default_rng(0).integers(0, 2**16, 107)
    path = raw(tmp_path / "a.npy", tokens, np.dtype(dtype).newbyteorder("<"))
    [file] = scan([path], dtype)
    assert file._replace(stamp=()) == TokenFile(path, dtype, 107)
    assert file.size == path.stat().length and abs(file.changed - time.time()) < 60
    rows = np.array([9, 0, 3, 3])
    found = np.empty((4, 10), dtype)
    file.read(rows, found)
    np.testing.assert_array_equal(found, tokens[:100].reshape(10, 10)[rows])


def test_ids_are_little_endian_on_any_machine(tmp_path):
    path = tmp_path / "a.npy"
    path.write_bytes(b"\x01\x02\x03\x00")
    [file] = scan([epath.Path(path)], "uint16")
    found = np.empty((1, 2), token_files.little_endian("uint16"))
    file.read(np.array([0]), found)
    assert found.tolist() == [[0x0201, 3]]


def test_more_files_than_may_be_open_at_once(tmp_path):
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = scan([raw(tmp_path / f"{i:04}.npy", [i, i]) for i in range(600)], "uint16")
    resource.setrlimit(resource.RLIMIT_NOFILE, (500, before[1]))
    try:
        for i, file in enumerate(files):
            found = np.empty((1, 2), np.uint16)
            file.read(np.array([0]), found)
            assert found.tolist() == [[i, i]]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def headed(path):
    np.save(path / "a.npy", np.zeros(8, np.uint16))


def odd(path):
    (path / "a.npy").write_bytes(b"123")


def unfinished(path):
    (path / "progress").mkdir()
    raw(path / "part-00000.npy", [1])


BAD = {
    "nowhere": (lambda path: None, "/none", "corpus.path: {}/none: there is no such file or"),
    "no match": (lambda path: None, "/*.npy", "corpus.path: {}/*.npy: no file matches"),
    "empty": (lambda path: None, "", "no file of tokens is in it, named .npy or .bin"),
    "unfinished": (unfinished, "", "not finished; run the same launch.prepare_corpus again"),
    "headed": (headed, "", "has a NumPy header and uint16 ids, but token files are raw: convert"),
    "odd": (odd, "", "a.npy: 3 bytes are no whole number of uint16 tokens; set corpus.dtype"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_read_is_one_line(case, tmp_path):
    make, path, message = BAD[case]
    make(tmp_path)
    with pytest.raises(UserError) as caught:
        scan(find(f"{tmp_path}{path}"), "uint16")
    assert message.format(tmp_path) in str(caught.value) and "\n" not in str(caught.value)


def test_the_advice_about_headers_works(tmp_path, monkeypatch):
    headed(tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as caught:
        scan([epath.Path("a.npy")], "uint16")
    exec(str(caught.value).split("`")[1], {"numpy": np})
    assert scan([epath.Path("raw.npy")], "uint16")[0].tokens == 8


def test_remote_storage_needs_its_package_and_lists_no_bucket(monkeypatch):
    def without(*_):
        raise ImportError("Please install gcsfs\nto access Google Storage")

    with pytest.raises(UserError, match=r"gs://b/\*\*/x: no `\*\*` on remote storage"):
        matching("gs://b/**/x")
    monkeypatch.setattr(token_files, "_find", without)
    with pytest.raises(UserError) as caught:
        find("gs://b/x")
    assert str(caught.value).endswith("gcsfs to access Google Storage; the extra `gcs` has it")


def test_a_damaged_corpus_json_is_named(tmp_path):
    assert read_contents(epath.Path(tmp_path)) is None
    (tmp_path / "corpus.json").write_text('{"dtype": "uint8"}')
    with pytest.raises(UserError, match=r"corpus\.json: dtype: expected 'uint16' or 'uint32'"):
        read_contents(epath.Path(tmp_path))


def test_a_remote_file_that_was_written_again_has_another_stamp():
    with buckets.bucket() as store:
        store.put("b/a.npy", bytes(8))
        first, again = (scan([epath.Path("gs://b/a.npy")], "uint16")[0] for _ in range(2))
        assert first == again and abs(first.changed - time.time()) < 60
        store.about["b/a.npy"]["generation"] += 1  # within the same second, say
        assert scan([epath.Path("gs://b/a.npy")], "uint16")[0].stamp != first.stamp
        store.about["b/a.npy"] = {}  # storage that tells nothing
        assert scan([epath.Path("gs://b/a.npy")], "uint16")[0].stamp == ()


def test_scanning_a_remote_file_reads_eight_bytes_of_it():
    with buckets.bucket() as store:
        for i in range(3):
            store.put(f"b/{i}.npy", bytes(100_000))
        scan(find("gs://b/*.npy"), "uint16")
        assert store.bytes == 3 * 8
        store.put(
            "b/3.npy", (lambda file: np.save(file, np.zeros(9)) or file.getvalue())(BytesIO())
        )
        with pytest.raises(UserError, match=r"gs://b/3\.npy: has a NumPy header and float64 ids"):
            scan(find("gs://b/*.npy"), "uint16")


def test_pieces_of_a_file_are_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(token_files, "_READ", 30)
    path = raw(tmp_path / "a.npy", range(50))
    assert list(map(len, token_files.pieces(path))) == [30, 30, 30, 10]
    assert b"".join(token_files.pieces(path)) == path.read_bytes()
    with buckets.bucket() as store:
        store.put("b/a", path.read_bytes())
        assert b"".join(token_files.pieces(epath.Path("gs://b/a"))) == path.read_bytes()
