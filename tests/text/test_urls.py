"""Lists of files to fetch: names, sizes and digests, and one line for what is none."""

import pytest
from etils import epath

from rare_retention.errors import UserError
from rare_retention.text.urls import Wanted, parse, read_list

URL = "https://olmo-data.org/dolma-v1_7/books/books-0000.json.gz"
MD5, SHA256 = "d41d8cd98f00b204e9800998ecf8427e", "E3b0c44298fc1c14" * 4


def test_a_list_may_say_sizes_and_digests():
    name = "dolma-v1_7/books/books-0000.json.gz"
    lines = ["# Dolma", "", URL, f"{URL}x  17", f"{URL}y\t-\tSHA256:{SHA256}", f"{URL}z 1 {MD5}"]
    assert parse(lines, "list") == [
        Wanted(URL, name),
        Wanted(f"{URL}x", f"{name}x", 17),
        Wanted(f"{URL}y", f"{name}y", None, f"sha256:{SHA256.lower()}"),
        Wanted(f"{URL}z", f"{name}z", 1, f"md5:{MD5}"),
    ]


def test_names_are_the_paths_of_urls_without_what_is_stripped():
    lines = ["http://x/a%20b/c%5B1%5D.npy?download=true#top"]
    assert parse(lines, "list")[0].name == "a b/c[1].npy"
    assert parse(lines, "list", strip=1)[0].name == "c[1].npy"


BAD = {
    "columns": (f"{URL} 1 - x", "list:1: has 4 columns; expected URL, or URL SIZE DIGEST, with -"),
    "scheme": ("gs://b/x", "list:1: 'gs://b/x' is no http:// or https:// address"),
    "no host": ("https:///x", "is no http:// or https:// address"),
    "broken": ("http://[x/y", "is no http:// or https:// address"),
    "no file": ("https://x/", "list:1: https://x/: its path names no file"),
    "above": ("https://x/a/../../b", "its path names no file"),
    "quoted above": ("https://x/a/%2e%2e/b", "its path names no file"),
    "quoted slash": ("https://x/a%2F..%2Fb", "its path names no file"),
    "hidden": ("https://x/.fetch.lock", "its path names no file"),
    "size": (f"{URL} 1e9", "list:1: '1e9' is no size in bytes"),
    "negative": (f"{URL} -5", "list:1: '-5' is no size in bytes"),
    "digest": (f"{URL} - abc", "'abc' is no digest of hexadecimal digits: md5 (32), sha1 (40)"),
    "other kind": (f"{URL} - sha256:{MD5}", "is no digest of hexadecimal digits"),
    "not hex": (f"{URL} - {MD5[:-1]}g", "is no digest of hexadecimal digits"),
    "twice": (f"{URL}\n{URL}?x", "books-0000.json.gz, as line 1 does; remove one of them"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_line_of_a_list_is_one_line(case):
    text, message = BAD[case]
    with pytest.raises(UserError) as caught:
        parse(text.splitlines(), "list")
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_stripping_all_leaves_no_name():
    with pytest.raises(UserError, match="has 2 folders, and --strip=3 leaves none of its name"):
        parse([URL], "list", strip=3)


def test_a_list_that_is_none_is_one_line(tmp_path):
    with pytest.raises(UserError, match="/none: there is no such file; expected a list of URLs"):
        read_list(epath.Path(tmp_path / "none"))
    (tmp_path / "empty").write_text("# nothing\n")
    with pytest.raises(UserError, match="empty: names no file"):
        read_list(epath.Path(tmp_path / "empty"))
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="binary: is no text"):
        read_list(epath.Path(tmp_path / "binary"))
