"""What is wrong is said, with what was expected and what was found; nothing crashes."""

import numpy as np
import pytest

import vultus

X = np.ones((4, 16), np.float32)


def wrong_rows():
    yield np.ones((4, 16), np.int64), vultus.DtypeError, "found int64"
    yield np.ones((4, 16), bool), vultus.DtypeError, "found bool"
    yield np.ones((4, 16), complex), vultus.DtypeError, "found complex128"
    yield np.ones((4, 16), np.longdouble), vultus.DtypeError, "expected float16, float32 or float64"
    yield np.full((4, 16), "1.0"), vultus.DtypeError, "found <U3"
    yield np.ones(16, np.float32), vultus.ShapeError, r"found \(16,\): one row is \w\[None, :\]"
    yield np.ones((2, 4, 16), np.float32), vultus.ShapeError, r"found \(2, 4, 16\)"
    yield np.float32(1), vultus.ShapeError, r"found \(\)"
    yield [[1.0] * 16, [1.0] * 15], vultus.ShapeError, "rows of one length"
    yield np.array([[1.0], None], object), vultus.ShapeError, "array of objects"
    yield None, vultus.ShapeError, "array of objects"
    yield "rows", vultus.DtypeError, "found <U4"
    yield {1: 2}, vultus.ShapeError, "array of objects"
    yield np.ma.masked_array(X, X > 0), vultus.InputError, "found masked ones"


@pytest.mark.parametrize("probes", (1, 50))
def test_wrong_arrays(probes):
    Q = np.ones((probes, 16), np.float32)
    for rows, kind, text in wrong_rows():
        with pytest.raises(kind, match="X: .*" + text):
            vultus.exact_search(rows, Q, 1)
        with pytest.raises(kind, match="Q: .*" + text):
            vultus.exact_search(X, rows, 1)
        with pytest.raises(kind, match="X: .*" + text):
            vultus.pairs_above(rows, threshold=0.5)
        if rows is not None:
            with pytest.raises(kind, match="Y: .*" + text):
                vultus.pairs_above(X, rows, threshold=0.5)


@pytest.mark.parametrize("dimension", (0, 1, 15, 4097))
def test_wrong_dimensions(dimension):
    rows = np.ones((3, dimension), np.float32)
    with pytest.raises(vultus.DimensionError, match=f"rows of {dimension} values, expected 16 to 4096"):
        vultus.exact_search(rows, rows, 1)
    with pytest.raises(vultus.DimensionError, match=f"rows of {dimension} values"):
        vultus.pairs_above(rows, threshold=0.5)
    with pytest.raises(vultus.DimensionError, match=f"Q: expected rows of 16 values as X has, found {dimension}"):
        vultus.exact_search(X, rows, 1)
    with pytest.raises(vultus.DimensionError, match=f"Y: expected rows of 16 values as X has, found {dimension}"):
        vultus.pairs_above(X, rows, threshold=0.5)


@pytest.mark.parametrize("probes", (1, 50))
@pytest.mark.parametrize("value", (np.nan, np.inf, -np.inf))
@pytest.mark.parametrize("dtype", (np.float16, np.float32, np.float64))
def test_values_that_are_not_finite(probes, value, dtype):
    rows = np.ones((900, 16), dtype)
    rows[701, 5] = value
    Q = np.ones((probes, 16), dtype)
    text = "row 701 is no embedding: value 5 is not a finite number"
    with pytest.raises(vultus.RowError, match="X: " + text):
        vultus.exact_search(rows, Q, 1)
    with pytest.raises(vultus.RowError, match="Q: " + text):
        vultus.exact_search(X, rows, 1)
    with pytest.raises(vultus.RowError, match="X: " + text):
        vultus.pairs_above(rows, threshold=0.5)
    with pytest.raises(vultus.RowError, match="Y: " + text):
        vultus.pairs_above(X, rows, threshold=0.5)


@pytest.mark.parametrize("probes", (1, 50))
def test_rows_of_zeros_and_what_is_too_large_or_small(probes):
    Q = np.ones((probes, 16), np.float32)
    for value, text in ((0, "all values are zero"), (1e-60, "all values are zero"), (1e60, "not a finite")):
        rows = np.ones((300, 16))
        rows[7] = value
        with pytest.raises(vultus.RowError, match=f"X: row 7 is no embedding: .*{text}"):
            vultus.exact_search(rows, Q, 1)


@pytest.mark.parametrize("k", (0, -1, 1.5, "3", None, True))
def test_wrong_k(k):
    with pytest.raises(vultus.InputError, match="k: expected a whole number"):
        vultus.exact_search(X, X, k)


@pytest.mark.parametrize("threshold", (np.nan, np.inf, 60, -1.01, "high", [0.5, 0.6]))
def test_wrong_thresholds(threshold):
    with pytest.raises(vultus.InputError, match="threshold: expected a similarity from -1 to 1"):
        vultus.exact_search(X, X, 1, threshold)
    with pytest.raises(vultus.InputError, match="threshold: expected a similarity from -1 to 1"):
        vultus.pairs_above(X, threshold=threshold)


@pytest.mark.parametrize("threads", (0, -2, 1.0, 5000))
def test_wrong_threads(threads):
    with pytest.raises(vultus.InputError, match="threads: expected"):
        vultus.exact_search(X, X, 1, threads=threads)


def test_more_columns_than_memory_are_an_error():
    with pytest.raises((MemoryError, ValueError)):
        vultus.exact_search(X, X, 10**15)
    assert vultus.exact_search(X, X, 100_000)[1].shape == (4, 100_000)
