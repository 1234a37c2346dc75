"""`exact_search` and `pairs_above` against sorting everything."""

import numpy as np
import pytest
from conftest import by_sorting, cosines

import vultus

# Up to 1,024 probes (fewer without AVX-512) are multiplied with rows where they lie, sixteen at a time or, with AVX-512
# and from 17 on, as bytes; more with coded rows, in passes.
PROBES = (1, 3, 16, 40, 130, 400, 1100)


@pytest.mark.parametrize("probes", PROBES)
@pytest.mark.parametrize("threads", (1, 2))
def test_answers_are_those_of_a_full_sort(rng, probes, threads):
    X = rng.standard_normal((3000, 48)).astype(np.float32)
    Q = rng.standard_normal((probes, 48)).astype(np.float32)
    D, I = vultus.exact_search(X, Q, 7, threads=threads)
    assert (D.dtype, I.dtype, D.shape, I.shape) == (np.float64, np.int64, (probes, 7), (probes, 7))
    expected_D, expected_I = by_sorting(X, Q, 7)
    np.testing.assert_array_equal(I, expected_I)
    np.testing.assert_allclose(D, expected_D, rtol=0, atol=1e-12)


@pytest.mark.parametrize("probes", (2, 60, 1100))
def test_ties_go_to_the_smaller_row_and_copies_all_count(rng, probes):
    """Whole numbers, so that cosines of equal rows are equal to the bit whatever the order of sums."""
    X = rng.integers(-1, 2, (4000, 16)).astype(np.float32)
    X[:, 0] = 1
    X[1000:2000] = X[:1000]
    Q = X[rng.integers(0, 4000, probes)]
    D, I = vultus.exact_search(X, Q, 30)
    np.testing.assert_array_equal(I, by_sorting(X, Q, 30)[1])
    # One row in 2,000 copies and the rows before them: the first ones win.
    X[:] = X[0]
    assert (vultus.exact_search(X, Q[:1] * 0 + X[0], 5)[1] == np.arange(5)).all()


@pytest.mark.parametrize("probes", (2, 60, 1100))
def test_where_there_are_fewer_the_rest_is_filled(rng, probes):
    X = rng.standard_normal((5, 20)).astype(np.float32)
    Q = rng.standard_normal((probes, 20)).astype(np.float32)
    D, I = vultus.exact_search(X, Q, 9)
    assert (I[:, 5:] == -1).all() and np.isneginf(D[:, 5:]).all()
    np.testing.assert_array_equal(I, by_sorting(X, Q, 9)[1])
    D, I = vultus.exact_search(X, Q, 9, 0.1)
    np.testing.assert_array_equal(I, by_sorting(X, Q, 9, 0.1)[1])
    assert not (D[I >= 0] < 0.1).any()
    D, I = vultus.exact_search(X[:0], Q, 2)
    assert D.shape == (probes, 2) and (I == -1).all()
    assert vultus.exact_search(X, Q[:0], 2)[1].shape == (0, 2)


@pytest.mark.parametrize("probes", (1, 50, 1100))
def test_length_does_not_matter(rng, probes):
    """Not even where squares are beyond single precision, or too small for it."""
    X = rng.standard_normal((1500, 32)).astype(np.float32)
    scales = rng.choice(np.array([1e-30, 1e-12, 1e-3, 1, 1e20, 1e37], np.float32), 1500)[:, None]
    Q = X[:probes]
    np.testing.assert_array_equal(
        vultus.exact_search(X * scales, Q * np.float32(1e5), 4)[1], vultus.exact_search(X, Q, 4)[1]
    )


def test_itself_is_found_with_one(rng):
    X = rng.standard_normal((300, 512)).astype(np.float32)
    for probes in (3, 80):
        D, I = vultus.exact_search(X, X[:probes], 1, threshold=1.0)
        assert (I[:, 0] == np.arange(probes)).all() and (D == 1.0).all()


def arrangements(X):
    """The same rows in every order and stride."""
    wide = np.zeros((len(X), X.shape[1] * 2 + 1), X.dtype)
    wide[:, 1::2] = X
    record = np.zeros(len(X), [("flag", "u1"), ("row", X.dtype, X.shape[1])])
    record["row"] = X
    frozen = X.copy()
    frozen.flags.writeable = False
    yield "C", X
    yield "Fortran", np.asfortranarray(X)
    yield "strided", wide[:, 1::2]
    yield "backwards twice", X[::-1].copy()[::-1]
    yield "turned columns", X[:, ::-1].copy()[:, ::-1]
    yield "other bytes", X.astype(X.dtype.newbyteorder())
    yield "not aligned", record["row"]
    yield "read only", frozen
    yield "a buffer", memoryview(np.ascontiguousarray(X))
    yield "lists", X.tolist()
    yield "matrix", np.asmatrix(X)


@pytest.mark.parametrize("dtype", (np.float16, np.float32, np.float64))
@pytest.mark.parametrize("probes", (2, 50))
def test_every_kind_and_order_of_arrays(rng, dtype, probes):
    X = rng.standard_normal((400, 24)).astype(dtype)
    Q = rng.standard_normal((probes, 24)).astype(dtype)
    expected = vultus.exact_search(X.astype(np.float32), Q.astype(np.float32), 5)
    np.testing.assert_array_equal(expected[1], by_sorting(X, Q, 5)[1])
    for (name, rows), (_, asked) in zip(arrangements(X), arrangements(Q)):
        D, I = vultus.exact_search(rows, asked, 5)
        np.testing.assert_array_equal(I, expected[1], name)
        np.testing.assert_array_equal(D, expected[0], name)


def test_nothing_is_copied_of_what_can_stay(rng):
    from vultus._arrays import as_rows

    for dtype in (np.float16, np.float32, np.float64):
        X = rng.standard_normal((50, 32)).astype(dtype)
        for rows in (X, X.T.copy().T, X[::2, ::-1]):
            assert np.shares_memory(as_rows(rows, "X"), X) or rows is not X and rows.base is not None
            assert as_rows(rows, "X").__array_interface__["data"] == rows.__array_interface__["data"]


def test_arrow_columns(rng):
    pa = pytest.importorskip("pyarrow")
    X = rng.standard_normal((90, 20)).astype(np.float32)
    expected = vultus.exact_search(X, X, 3)
    flat = pa.array(X.ravel())
    fixed = pa.FixedSizeListArray.from_arrays(flat, 20)
    lists = pa.array(X.tolist(), pa.list_(pa.float32()))
    columns = [fixed, lists, lists.cast(pa.large_list(pa.float32()))]
    columns += [pa.chunked_array([fixed[:40], fixed[40:]]), pa.chunked_array([fixed])]
    columns.append(pa.concat_arrays([fixed, fixed])[90:])
    for column in columns:
        np.testing.assert_array_equal(vultus.exact_search(column, column, 3)[1], expected[1])
    from vultus._arrays import as_rows

    address = flat.buffers()[1].address
    assert as_rows(fixed, "X").__array_interface__["data"][0] == address
    assert as_rows(fixed[10:], "X").__array_interface__["data"][0] == address + 10 * 20 * 4
    missing = pa.array([[1.0] * 20, None], pa.list_(pa.float32(), 20))
    with pytest.raises(vultus.InputError, match="X: expected a list in each row, found 1 rows without"):
        vultus.exact_search(missing, X, 1)
    with pytest.raises(vultus.InputError, match="expected all values, found 1 that are null"):
        vultus.exact_search(pa.array([[1.0] * 19 + [None]], pa.list_(pa.float32(), 20)), X, 1)
    with pytest.raises(vultus.ShapeError, match="found lengths from 19 to 20"):
        vultus.exact_search(pa.array([[1.0] * 19, [1.0] * 20]), X, 1)
    with pytest.raises(vultus.DtypeError, match="expected lists of float16, float32 or float64"):
        vultus.exact_search(pa.array([[1] * 20]), X, 1)
    with pytest.raises(vultus.DtypeError, match="expected a column of lists"):
        vultus.exact_search(flat, X, 1)
    with pytest.raises(vultus.DtypeError, match="expected a column of lists"):
        vultus.exact_search(pa.table({"row": fixed}), X, 1)


def test_polars_and_pandas(rng):
    pl = pytest.importorskip("polars")
    X = rng.standard_normal((90, 20)).astype(np.float32)
    expected = vultus.exact_search(X, X, 3)
    arrays = pl.Series(X, dtype=pl.Array(pl.Float32, 20))
    lists = pl.Series(X.tolist(), dtype=pl.List(pl.Float32))
    for column in (arrays, lists, pl.concat([arrays[:30], arrays[30:]]), pl.DataFrame(X)):
        np.testing.assert_array_equal(vultus.exact_search(column, column, 3)[1], expected[1])
    with pytest.raises(vultus.ShapeError, match="found lengths from 1 to 2"):
        vultus.exact_search(pl.Series([[1.0], [1.0, 2.0]]), X, 1)
    with pytest.raises(vultus.DtypeError, match="expected a column of lists"):
        vultus.exact_search(pl.Series([1.0, 2.0]), X, 1)
    with pytest.raises(vultus.InputError, match="1 rows without"):
        vultus.exact_search(pl.Series([[1.0] * 20, None]), X, 1)
    pd = pytest.importorskip("pandas")
    for table in (pd.DataFrame(X), pd.Series(list(X)), pd.DataFrame({"row": list(X)})["row"]):
        np.testing.assert_array_equal(vultus.exact_search(table, table, 3)[1], expected[1])
    with pytest.raises(vultus.ShapeError, match="expected rows of one length"):
        vultus.exact_search(pd.Series([[1.0], [1.0, 2.0]]), X, 1)


def test_pairs_are_all_pairs_and_no_others(rng):
    X = rng.standard_normal((700, 16)).astype(np.float32)
    X[600:] = X[:100]
    scores = cosines(X, X)
    for threshold in (1.0, 0.7, 0.2):
        found = vultus.pairs_above(X, threshold=threshold)
        first, second = np.nonzero(np.triu(scores >= threshold, 1))
        assert set(zip(found.rows, found.others)) == set(zip(first, second))
        np.testing.assert_allclose(found.similarities, scores[found.rows, found.others], rtol=0, atol=1e-12)
        order = np.lexsort((found.others, found.rows, -found.similarities))
        assert (order == np.arange(len(order))).all()


def test_pairs_of_two_arrays(rng):
    X = rng.standard_normal((300, 16)).astype(np.float16)
    Y = rng.standard_normal((1200, 16))
    found = vultus.pairs_above(X, Y, threshold=0.6)
    rows, others = np.nonzero(cosines(Y, X) >= 0.6)
    assert len(rows) > 100
    assert set(zip(found.rows, found.others)) == set(zip(rows, others))
    again = vultus.pairs_above(X, Y, threshold=0.6, threads=2)
    for one, other in zip(found, again):
        assert one.tobytes() == other.tobytes()
    empty = vultus.pairs_above(X[:0], Y, threshold=0.6)
    assert [len(part) for part in empty] == [0, 0, 0]


def test_too_many_pairs_are_an_error():
    X = np.ones((30, 16), np.float32)
    with pytest.raises(vultus.TooManyPairsError, match="more than 434 pairs reach the threshold"):
        vultus.pairs_above(X, threshold=0.5, limit=434)
    assert len(vultus.pairs_above(X, threshold=0.5, limit=435).rows) == 435


def test_progress_is_told_and_may_stop(rng):
    X = rng.standard_normal((3000, 16)).astype(np.float32)
    told = []
    vultus.exact_search(X, X[:3], 2, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (9000, 9000)
    told.clear()
    vultus.pairs_above(X, threshold=0.99, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (9_000_000, 9_000_000) and told == sorted(told)

    def stop(done, total):
        raise KeyError("stop")

    with pytest.raises(KeyError, match="stop"):
        vultus.exact_search(X, X, 2, progress=stop)
    # Whether tqdm is installed or not.
    vultus.exact_search(X, X[:2], 2, progress=True)
