"""Norms, cosines and first-order effects from a planted Gram matrix of known vectors."""

import numpy as np
import pytest
import xarray as xr

from rare_retention.evidence import gradients

NAMES = gradients.names(("comparison", "addition"))
VECTORS = np.random.default_rng(0).standard_normal((len(NAMES), 7))


def vector(name):
    return VECTORS[NAMES.index(name)]


@pytest.fixture
def gram():
    """Inner products of the vectors, on one block of weights."""
    place = {"vector": list(NAMES), "other": list(NAMES)}
    products = xr.DataArray(VECTORS @ VECTORS.T, place, ("vector", "other"))
    return products.expand_dims(block=["all"])


def test_vectors_are_recorded_in_one_order():
    assert NAMES == (
        "batch comparison",
        "batch addition",
        "batch others",
        "reference comparison",
        "reference addition",
        "update",
    )


def test_the_injected_part_and_the_rest_make_the_batch(gram):
    own = {gradients.batch_of("comparison"): 1.0, gradients.batch_of("addition"): 1.0}
    assert gradients.injected(gram) == own
    assert gradients.whole(gram) == {**own, gradients.OTHERS: 1.0}


def test_products_of_sums_are_those_of_the_vectors(gram):
    one, other = {"batch comparison": 2.0, "update": -1.0}, {"reference addition": 0.5}
    left, right = (
        2 * vector("batch comparison") - vector("update"),
        vector("reference addition") / 2,
    )
    found = gradients.inner(gram, one, other)
    assert found.dims == ("block",)
    assert float(found.item()) == pytest.approx(left @ right)


def test_a_cosine_is_that_of_the_vectors_and_none_without_a_direction(gram):
    a, b = vector("batch addition"), vector("update")
    expected = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
    one, other = {"batch addition": 1.0}, {"update": 1.0}
    assert float(gradients.cosine(gram, one, other).item()) == pytest.approx(expected)
    assert float(gradients.norm(gram, one).item()) == pytest.approx(np.linalg.norm(a))
    assert np.isnan(gradients.cosine(gram, one, {}).item())


def test_rounding_below_zero_is_no_length(gram):
    assert gradients.norm(-gram, {"update": 1.0}).item() == 0


def test_a_missing_product_is_missing(gram):
    gram = gram.where(gram["vector"] != "update")
    assert np.isnan(gradients.inner(gram, {"update": 1.0}, {"update": 1.0}).item())


def test_an_unknown_vector_is_named(gram):
    with pytest.raises(ValueError, match=r"expected vectors out of batch comparison, .*, got x$"):
        gradients.inner(gram, {"x": 1.0}, {"update": 1.0})
