"""Tensors of other libraries, by DLPack: what is shared is not copied, and what cannot be is refused in words."""

import numpy as np
import pytest

import vultus
from vultus._arrays import as_rows


@pytest.fixture
def X(rng):
    return rng.standard_normal((60, 20)).astype(np.float32)


class Tensor:
    """Looks as a tensor of PyTorch does, and is one of numpy."""

    def __init__(self, array, **looks):
        self.array, self.negated, self.exported = array, False, 0
        looks = {"dtype": f"torch.{array.dtype}", "layout": "torch.strided", "device": "cpu", **looks}
        vars(self).update(looks)

    def __dlpack__(self, **options):
        if getattr(self, "requires_grad", False):
            raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
        if self.fails:
            raise self.fails
        self.exported += 1
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        return {"cpu": 1, "cuda:0": 2, "meta": 99}[self.device], 0

    fails = None

    def detach(self):
        return Tensor(self.array)

    def is_neg(self):
        return self.negated

    def resolve_neg(self):
        return Tensor(-self.array)

    def __len__(self):
        return len(self.array)


class SharedByDlpack:
    """As little as there must be."""

    def __init__(self, array, device=(1, 0)):
        self.array, self.device_of_dlpack = array, device

    def __dlpack__(self, **options):
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.device_of_dlpack


@pytest.mark.parametrize("made", (Tensor, SharedByDlpack))
def test_what_can_be_shared_is_not_copied(X, made):
    expected = vultus.exact_search(X, X, 3)
    for array in (X, X[::-1], X[:, ::-1], np.asfortranarray(X), X.astype(np.float64), X.astype(np.float16)):
        tensor = made(array)
        assert np.shares_memory(as_rows(tensor, "X"), array)
        assert vultus.exact_search(tensor, tensor, 3)[1].shape == (60, 3)
    tensor = made(X)
    np.testing.assert_array_equal(vultus.exact_search(tensor, tensor, 3)[1], expected[1])


def test_values_that_are_marked_are_what_they_mean(X):
    """A mark that says that values are to be negated is lost in DLPack."""
    tensor = Tensor(-X)
    tensor.negated = True
    np.testing.assert_array_equal(as_rows(tensor, "X"), X)
    np.testing.assert_array_equal(as_rows(Tensor(X, requires_grad=True), "X"), X)


def test_lists_of_tensors_are_rows(X):
    rows = [Tensor(row, requires_grad=True) for row in X]
    np.testing.assert_array_equal(as_rows(rows, "X"), X)
    rows[7] = Tensor(X[7], device="cuda:0")
    with pytest.raises(vultus.InputError, match=r"X\[7\]: expected an array in this computer's memory.*cuda:0"):
        as_rows(rows, "X")
    rows[7] = Tensor(X[7, :5])
    with pytest.raises(vultus.ShapeError, match="X: expected rows of one length"):
        as_rows(rows, "X")


def refused(X):
    yield Tensor(X, dtype="torch.bfloat16"), vultus.DtypeError, r"found bfloat16: convert it with \.float\(\)"
    yield Tensor(X, dtype="torch.float8_e4m3fn"), vultus.DtypeError, "found float8_e4m3fn"
    yield Tensor(X, dtype="torch.complex64"), vultus.DtypeError, r"found complex64: convert it with \.real"
    yield Tensor(X, dtype="torch.qint8"), vultus.DtypeError, r"found qint8: convert it with \.dequantize"
    yield Tensor(X.astype(np.int64)), vultus.DtypeError, "found int64"
    yield Tensor(X.astype(np.uint8)), vultus.DtypeError, "found uint8"
    yield Tensor(X > 0), vultus.DtypeError, "found bool"
    yield Tensor(X, layout="torch.sparse_coo"), vultus.InputError, r"layout sparse_coo: convert it with \.to_dense"
    yield Tensor(X, layout="torch.sparse_csr"), vultus.InputError, "layout sparse_csr"
    yield Tensor(X, device="cuda:0"), vultus.InputError, "found Tensor on cuda:0: copy it to the CPU"
    yield Tensor(X, device="meta"), vultus.InputError, "found Tensor on meta"
    yield SharedByDlpack(X, (8, 0)), vultus.InputError, "found SharedByDlpack on device 8 of DLPack: copy it to the CPU"
    yield Tensor(X[0]), vultus.ShapeError, r"found \(20,\): one row is \w\[None, :\]"
    yield Tensor(X[0, 0:1].reshape(())), vultus.ShapeError, r"found \(\)"
    yield Tensor(X[None]), vultus.ShapeError, r"found \(1, 60, 20\)"
    for error in (RuntimeError("no"), BufferError("no"), TypeError("no"), ValueError("no")):
        tensor = Tensor(X)
        tensor.fails = error
        yield tensor, vultus.InputError, "can be shared by DLPack, found Tensor: no"
    spoilt = X.copy()
    spoilt[3, 4] = np.nan
    yield Tensor(spoilt), vultus.RowError, "row 3 is no embedding"


def test_what_is_refused_says_what_to_do(X):
    gallery = vultus.Gallery(dimension=20)
    gallery.add(X)
    for tensor, kind, text in refused(X):
        for name, call in (
            ("X", lambda tensor=tensor: vultus.exact_search(tensor, X, 3)),
            ("Q", lambda tensor=tensor: vultus.exact_search(X, tensor, 3)),
            ("X", lambda tensor=tensor: gallery.add(tensor)),
            ("Q", lambda tensor=tensor: gallery.search(tensor)),
        ):
            with pytest.raises(kind, match=f"{name}: .*{text}"):
                call()
    assert len(gallery) == 60


def test_one_probe_may_be_a_tensor(X):
    with vultus.Gallery() as gallery:
        gallery.add(X)
        for q in (Tensor(X[4]), Tensor(X[4], requires_grad=True), X[4], X[4].tolist()):
            assert gallery.search_one(q, 1)[0].label == 5
        with pytest.raises(vultus.DtypeError, match="q: .*bfloat16"):
            gallery.search_one(Tensor(X[4], dtype="torch.bfloat16"))
        with pytest.raises(vultus.ShapeError, match="q: expected the shape"):
            gallery.search_one(Tensor(X))


def test_other_producers(X):
    """Of libraries that are small enough to be here whenever tests run."""
    expected = vultus.exact_search(X, X, 3)[1]
    strict = pytest.importorskip("array_api_strict")
    for array in (strict.asarray(X), strict.asarray(X.astype(np.float64))):
        np.testing.assert_array_equal(vultus.exact_search(array, array, 3)[1], expected)
    with pytest.raises(vultus.DtypeError, match="found int64"):
        vultus.exact_search(strict.asarray(X.astype(np.int64)), X, 3)
    tvm = pytest.importorskip("tvm_ffi")
    tensor = tvm.from_dlpack(X)
    assert np.shares_memory(as_rows(tensor, "X"), X)
    np.testing.assert_array_equal(vultus.exact_search(tensor, tensor, 3)[1], expected)


def test_torch(X):
    torch = pytest.importorskip("torch")
    expected = vultus.exact_search(X, X, 3)[1]
    tensor = torch.from_numpy(X)
    for given in (
        tensor,
        tensor.clone().requires_grad_(),
        torch.nn.Parameter(tensor.clone()),
        tensor.double(),
        tensor.t().contiguous().t(),
        torch.cat([tensor, tensor], 1)[:, :20],
        torch.complex(tensor, -tensor).conj().imag,
        list(tensor),
        list(tensor.clone().requires_grad_()),
    ):
        np.testing.assert_array_equal(vultus.exact_search(given, given, 3)[1], expected)
    assert np.shares_memory(as_rows(tensor, "X"), X)
    assert np.shares_memory(as_rows(tensor.flip(0), "X"), X) is False
    half = vultus.exact_search(X.astype(np.float16), X.astype(np.float16), 3)[1]
    np.testing.assert_array_equal(vultus.exact_search(tensor.half(), tensor.half(), 3)[1], half)
    # Before 2.1 there is none.
    float8 = getattr(torch, "float8_e4m3fn", None)
    for given, kind, text in (
        *([] if float8 is None else [(tensor.to(float8), vultus.DtypeError, "float8")]),
        (tensor.bfloat16(), vultus.DtypeError, "bfloat16"),
        (torch.complex(tensor, tensor).conj(), vultus.DtypeError, "complex64"),
        (tensor.long(), vultus.DtypeError, "int64"),
        (tensor > 0, vultus.DtypeError, "bool"),
        (torch.quantize_per_tensor(tensor, 0.1, 0, torch.qint8), vultus.DtypeError, "qint8"),
        (tensor.to_sparse(), vultus.InputError, "layout sparse_coo"),
        (tensor.to_sparse_csr(), vultus.InputError, "layout sparse_csr"),
        (tensor.to("meta"), vultus.InputError, "meta"),
        (tensor[0], vultus.ShapeError, r"\(20,\)"),
        (tensor[0, 0], vultus.ShapeError, r"\(\)"),
    ):
        with pytest.raises(kind, match=f"X: .*{text}"):
            vultus.exact_search(given, X, 3)
        with pytest.raises(kind, match=f"Q: .*{text}"):
            vultus.exact_search(X, given, 3)
    with vultus.Gallery() as gallery:
        gallery.add(tensor.clone().requires_grad_(), labels=torch.arange(60))
        assert gallery.search(tensor, 1).labels[:, 0].tolist() == list(range(60))
        assert gallery.search_one(tensor[9].clone().requires_grad_(), 1)[0].label == 9
