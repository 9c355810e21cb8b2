"""What is sealed is what is read, or it is refused."""

import numpy as np
import pytest
from etils import epath

from rare_retention.errors import UserError
from rare_retention.record import seal

PATH = epath.Path("x/file")
ARRAYS = {"a": np.arange(6.0).reshape(2, 3), "b": np.array(["x", "yz"])}
ABOUT = {"kind": "metrics", "run": "r", "first": 3}


def test_json_is_sealed_whatever_its_order_and_white_space():
    sealed = seal.sealed_json({"b": (1, 2.5), "a": {"c": None}})
    turned = dict(reversed(sealed.items()))
    assert seal.open_json(turned, PATH, "mend it") == {"a": {"c": None}, "b": (1, 2.5)}
    for change in ({"b": [1, 2]}, {"d": 1}, {"seal": "0" * 64}):
        with pytest.raises(UserError, match=r"x/file: edited or damaged, .*; mend it"):
            seal.open_json(sealed | change, PATH, "mend it")
    with pytest.raises(UserError, match="expected names and values"):
        seal.open_json([1], PATH, "mend it")


def test_json_without_a_seal_is_taken_where_none_is_required():
    assert seal.open_json({"a": 1}, PATH, "x", required=False) == {"a": 1}
    with pytest.raises(UserError):
        seal.open_json({"a": 1}, PATH, "x")


@pytest.mark.parametrize(
    "change",
    [
        {"a": ARRAYS["a"] + 1},
        {"a": ARRAYS["a"].astype(np.float32)},
        {"a": ARRAYS["a"].reshape(3, 2)},
        {"c": np.zeros(1)},
        {"seal": np.array("{}")},
        {"seal": np.array("x")},
    ],
)
def test_arrays_that_differ_in_anything_are_refused(change):
    sealed = seal.sealed_arrays(ABOUT, ARRAYS)
    assert seal.open_arrays(sealed, ABOUT, PATH, "x").keys() == ARRAYS.keys()
    with pytest.raises(UserError, match="edited or damaged"):
        seal.open_arrays(sealed | change, ABOUT, PATH, "x")


def test_what_is_something_else_is_told_apart_from_what_is_another_run_s():
    sealed = seal.sealed_arrays(ABOUT, ARRAYS)
    with pytest.raises(seal.Foreign, match="is of run r, where s was expected"):
        seal.open_arrays(sealed, ABOUT | {"run": "s"}, PATH, "x")
    with pytest.raises(UserError, match="is of first 3, where 4 was expected") as caught:
        seal.open_arrays(sealed, ABOUT | {"first": 4}, PATH, "x")
    assert not isinstance(caught.value, seal.Foreign)


def test_a_trailer_covers_every_byte():
    data = seal.with_trailer(b"content", {"kind": "y"})
    assert seal.without_trailer(data, {"kind": "y"}, PATH, "x") == (b"content", True)
    for i in range(len(data) - len(b"RRSEAL01")):
        changed = data[:i] + bytes([data[i] ^ 1]) + data[i + 1 :]
        with pytest.raises(UserError):
            seal.without_trailer(changed, {"kind": "y"}, PATH, "x")
    assert seal.without_trailer(b"content", {}, PATH, "x") == (b"content", False)
