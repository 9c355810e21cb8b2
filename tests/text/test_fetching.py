"""Lists fetched into folders and buckets: what is missing, what comes, and what is refused."""

import hashlib
import threading
from collections import Counter

import buckets
import numpy as np
import pytest
import served
from etils import epath

from rare_retention.errors import UserError
from rare_retention.text import download
from rare_retention.text.corpus import Corpus, open_corpus
from rare_retention.text.download import session
from rare_retention.text.fetched import RECORD, Folder
from rare_retention.text.fetching import ORDER, fetch, find, write_order
from rare_retention.text.urls import parse

FILES = {
    f"/t/{name}": np.random.default_rng(i).integers(0, 999, 40_000 + i).astype("<u2").tobytes()
    for i, name in enumerate(("b.npy", "a/x.npy", "a/y.npy", "a/about.json"))
}
X = FILES["/t/a/x.npy"]


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(download, "PAUSE", 0)
    monkeypatch.setattr(download, "SYNCED", 10_000)
    with served.serving(FILES) as server:
        yield server


@pytest.fixture(params=["folder", "bucket"])
def place(request, tmp_path, monkeypatch):
    """Where files go: what the tests write and read, as a path."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    if request.param == "folder":
        yield epath.Path(tmp_path / "to")
    else:
        with buckets.bucket():
            yield epath.Path("gs://b/to")


def wanted(server, columns=None, names=FILES):
    """The list of these files; `columns` by name follow the URL."""
    lines = [f"{server.url}{name} {(columns or {}).get(name, '')}" for name in names]
    return parse(lines, "list", strip=1)


def states(files, place, **options):
    return [each.state for each in find(files, Folder(place), session(2), **options)]


def run(files, place, verify=False):
    """What the launcher does; failures and the bytes that have come."""
    folder, said, moved, own = Folder(place), [], [], session(2)
    with folder.open():
        found = find(files, folder, own, verify=verify)
        for each in found:
            if each.state == "whole":
                folder.add(each.wanted.name, each.held)
        missing = [each for each in found if each.state != "whole"]
        failures = fetch(missing, folder, own, connections=3, advance=moved.append, say=said.append)
    assert failures == len(said)
    return said, sum(moved)


def holds(place, names=FILES):
    return all((place / name[3:]).read_bytes() == FILES[name] for name in names)


def test_files_come_once(server, place):
    files = wanted(server)
    found = find(files, Folder(place), session(2))
    assert [each.state for each in found] == ["absent"] * 4
    assert [each.length for each in found] == [len(content) for content in FILES.values()]
    assert run(files, place) == ([], sum(map(len, FILES.values())))
    assert holds(place)
    server.asked.clear()
    assert states(files, place) == ["whole"] * 4
    assert run(files, place) == ([], 0) and not server.asked  # not even for sizes
    held = Folder(place).known("a/x.npy")
    assert (held.size, held.sha256) == (len(X), hashlib.sha256(X).hexdigest())


def test_one_that_fails_leaves_the_others(server, place):
    server.faults["/t/a/x.npy"] = [503, 503, "1234", 503]
    server.faults["/t/b.npy"] = [503] * 99
    files = wanted(server)
    said, _ = run(files, place)
    assert said == [
        f"{server.url}/t/b.npy: the server answers 503 Service Unavailable, 6 times in a row; the "
        "same command tries again"
    ]
    assert holds(place, [name for name in FILES if name != "/t/b.npy"])
    server.faults.clear()
    server.asked.clear()
    assert run(files, place) == ([], len(FILES["/t/b.npy"]))
    assert Counter(path for _, path, _ in server.asked).keys() == {"/t/b.npy"} and holds(place)


DIGEST = {kind: hashlib.new(kind, X).hexdigest() for kind in ("md5", "sha1", "sha256")}


@pytest.mark.parametrize("kind", DIGEST)
def test_digests_of_the_list_are_held_against_what_comes(server, place, kind):
    right = wanted(server, {"/t/a/x.npy": f"- {DIGEST[kind]}"}, ["/t/a/x.npy"])
    wrong = wanted(server, {"/t/a/x.npy": f"{len(X)} {DIGEST[kind][::-1]}"}, ["/t/a/x.npy"])
    [line], _ = run(wrong, place)
    assert line == (
        f"{server.url}/t/a/x.npy: what came has not the list's digest, {kind}:{DIGEST[kind][::-1]}"
    )
    assert not (place / "a/x.npy").exists()
    assert run(right, place)[0] == [] and holds(place, ["/t/a/x.npy"])
    server.asked.clear()
    assert states(right, place) == ["whole"] and not server.asked
    assert states(wrong, place) == ["damaged"]  # to be fetched again


def test_what_came_before_is_not_believed_where_the_digest_is_wrong(server, tmp_path):
    """A part of an earlier attempt that was damaged is thrown away, once."""
    place = epath.Path(tmp_path)
    files = wanted(server, {"/t/a/x.npy": f"- {DIGEST['md5']}"}, ["/t/a/x.npy"])
    server.faults["/t/a/x.npy"] = ["33000", 404]
    assert "404" in run(files, place)[0][0]
    [part] = (tmp_path / "a").glob(".*.part")
    part.write_bytes(bytes(len(part.read_bytes())))
    assert run(files, place)[0] == [] and holds(place, ["/t/a/x.npy"])
    assert server.gets("/t/a/x.npy")[-2:] == ["bytes=30000-", None]


def test_a_wrong_size_is_one_line(server, place):
    files = wanted(server, {"/t/b.npy": "7"}, ["/t/b.npy"])
    [line], _ = run(files, place)
    assert "/t/b.npy: has 80,000 bytes, but the list says 7; mend the list" in line
    assert not (place / "b.npy").exists()


def change(place, name, content):
    with (place / name).open("wb") as file:
        file.write(content)


def test_damaged_files_are_fetched_again(server, place):
    files = wanted(server)
    run(files, place)
    change(place, "b.npy", FILES["/t/b.npy"][:-1])
    change(place, "a/x.npy", X[::-1])
    assert states(files, place) == ["damaged", "whole", "whole", "whole"]
    assert states(files, place, verify=True) == ["damaged", "damaged", "whole", "whole"]
    assert run(files, place, verify=True)[0] == [] and holds(place)


def test_a_source_that_has_changed_is_said(server, place):
    """Two halves of a data set of two dates are no data set."""
    files = wanted(server)
    run(files, place)
    (place / "a/x.npy").unlink()
    server.files["/t/a/x.npy"] = X[::-1]
    [line], _ = run(files, place)
    assert "/t/a/x.npy: gives other bytes than those that were fetched before; choose" in line
    assert not (place / "a/x.npy").exists()
    digest = hashlib.md5(X[::-1]).hexdigest()  # a list that knows of it is believed
    assert run(wanted(server, {"/t/a/x.npy": f"- {digest}"}), place)[0] == []
    assert (place / "a/x.npy").read_bytes() == X[::-1]


def test_what_stands_there_is_taken_if_it_fits(server, place):
    """As where a record was lost, or files were copied there."""
    files = wanted(server)
    run(files, place)
    (place / RECORD).unlink()
    server.asked.clear()
    assert run(files, place) == ([], 0)
    assert not server.gets() and len(server.asked) == 4  # sizes alone
    assert Folder(place).known("b.npy").sha256 == hashlib.sha256(FILES["/t/b.npy"]).hexdigest()


BAD = {
    "size": (b"1234", "", r"b\.npy: has 4 bytes, and http.*/t/b\.npy 80,000; remove it, or choose"),
    "digest": (bytes(80_000), f"- {'0' * 32}", r"b\.npy: differs from the list's digest; remove"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_stands_there_and_is_something_else_is_refused(server, place, case):
    content, columns, message = BAD[case]
    place.mkdir(parents=True, exist_ok=True)
    change(place, "b.npy", content)
    with pytest.raises(UserError, match=message):
        run(wanted(server, {"/t/b.npy": columns}, ["/t/b.npy"]), place)
    assert (place / "b.npy").read_bytes() == content


def test_a_name_that_was_fetched_from_elsewhere_is_refused(server, place):
    run(wanted(server), place)
    other = parse([f"{server.url}/other/b.npy"], "list", strip=1)
    with pytest.raises(UserError, match=r"/b\.npy: was fetched from http.*/t/b\.npy, not http"):
        run(other, place)


def test_a_server_without_head_is_asked_all_the_same(server, place):
    server.heads = False
    files = wanted(server)
    assert [each.length for each in find(files, Folder(place), session(2))] == [None] * 4
    assert run(files, place)[0] == [] and holds(place)


def test_a_file_that_is_not_there_is_known_before(server, place):
    [found] = find(wanted(server, names=["/t/none"]), Folder(place), session(2))
    assert found.length is None and found.fault.endswith(
        "/t/none: the server answers 404 Not Found"
    )


def test_a_stop_in_between_loses_nothing_that_has_come(server, tmp_path, monkeypatch):
    """Ctrl-C: what is whole is recorded, what is not goes on."""
    monkeypatch.setattr(download, "_PIECE", 1000)
    files, folder = wanted(server), Folder(epath.Path(tmp_path))
    count = [0]

    def advance(moved):
        count[0] += moved
        if count[0] > 200_000:
            raise KeyboardInterrupt  # in a worker; it reaches who waits for the answers

    found = find(files, folder, session(2))
    with pytest.raises(KeyboardInterrupt), folder.open():
        fetch(found, folder, session(2), connections=1, advance=advance, say=print)
    assert [Folder(epath.Path(tmp_path)).known(each.name) is not None for each in files] == [
        True, True, False, False,
    ]  # fmt: skip
    server.asked.clear()
    assert run(files, epath.Path(tmp_path))[0] == [] and holds(epath.Path(tmp_path))
    assert sorted(server.gets(), key=str) == [None, "bytes=30000-"]
    assert not list(tmp_path.rglob("*.part"))


def test_the_order_of_the_list_is_that_of_a_corpus(server, place):
    files = wanted(server)
    run(files, place)
    path = write_order(files, Folder(place))
    assert path == place / ORDER
    found = open_corpus(Corpus(path=str(path), held_out=0, order="sequential"), 100)
    assert [file.path for file in found.files] == [
        place / "b.npy", place / "a/x.npy", place / "a/y.npy",
    ]  # fmt: skip
    tokens = np.frombuffer(FILES["/t/b.npy"], "<u2")
    np.testing.assert_array_equal(found.train(np.arange(400), 0).ravel(), tokens)
    assert write_order(files[:1], Folder(place)) == path  # it is its own
    change(place, ORDER, b"mine")
    assert write_order(files, Folder(place)) is None
    assert (place / ORDER).read_bytes() == b"mine"
    assert write_order(files[3:], Folder(place)) is None


def test_threads_end(server, tmp_path):
    run(wanted(server), epath.Path(tmp_path))
    assert not [each for each in threading.enumerate() if each.name.startswith("worker")]
