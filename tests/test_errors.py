"""Mistakes that a user can put right, and the field that they name."""

import pickle

import pytest

from rare_retention.errors import ConfigError, UserError, below


@pytest.mark.parametrize(
    ("parts", "line"),
    [
        (("rate", "too high"), "rate: too high"),
        (("", "too high"), "too high"),
        (("rate", "too high", "x.py:3"), "x.py:3: rate: too high"),
        (("", "too high", "x.py"), "x.py: too high"),
    ],
)
def test_an_error_is_one_line_without_empty_parts(parts, line):
    assert str(ConfigError(*parts)) == line


def test_an_error_of_a_configuration_is_the_users_and_a_wrong_value():
    error = ConfigError("rate", "too high", "x.py:3")
    assert isinstance(error, UserError) and isinstance(error, ValueError)
    again = pickle.loads(pickle.dumps(error))
    assert (again.field, again.message, again.source) == ("rate", "too high", "x.py:3")


@pytest.mark.parametrize(
    ("field", "named"), [("rate", "run.optimizer.rate"), ("", "run.optimizer")]
)
def test_a_field_is_named_from_the_top(field, named):
    with pytest.raises(ConfigError) as caught, below("run"), below("optimizer"):
        raise ConfigError(field, "too high", "x.py:3")
    error = caught.value
    assert (error.field, error.message, error.source) == (named, "too high", "x.py:3")
    assert error.__suppress_context__  # one error, not one for each level


def test_other_errors_pass_as_they_are():
    with pytest.raises(UserError, match=r"^no data$"), below("run"):
        raise UserError("no data")
