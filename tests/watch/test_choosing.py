"""Which trackers a job has."""

import importlib.util

import pytest

from rare_retention.errors import UserError
from rare_retention.watch.choosing import chosen


@pytest.fixture
def installed(monkeypatch):
    """f(...) has these packages alone found."""

    def only(*names):
        monkeypatch.setattr(
            importlib.util, "find_spec", lambda name: object() if name in names else None
        )

    return only


def test_where_nothing_is_said_tensorboard_if_it_is_there(installed):
    installed("tensorboardX")
    assert chosen(None) == (("tensorboard",), "")
    installed()
    names, said = chosen(None)
    assert names == () and "extra `tensorboard`" in said and "\n" not in said


@pytest.mark.parametrize("names", [[], [""], ["none"]])
def test_none_is_none_and_nothing_is_said(names, installed):
    installed()
    assert chosen(names) == ((), "")


def test_both_may_be_chosen_once(installed):
    installed("tensorboardX", "wandb")
    assert chosen(["wandb", "tensorboard", "wandb"]) == (("wandb", "tensorboard"), "")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["tensorbord"], "--track=tensorbord: expected some of tensorboard, wandb, or none"),
        (["wandb", "none"], "none stands alone"),
        (["tensorboard", "wandb"], "--track=tensorboard,wandb: wandb is not installed; the extra"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(names, message, installed):
    installed("tensorboardX")
    with pytest.raises(UserError, match=message) as caught:
        chosen(names)
    assert "\n" not in str(caught.value)
