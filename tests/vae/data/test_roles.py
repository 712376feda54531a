"""Labels, and which rows are test."""

import numpy as np
import pytest

from vae.data.cells import Sheet, as_text
from vae.data.options import ReadOptions
from vae.data.roles import is_test_of, labels_of


def sheet(*texts: str) -> Sheet:
    return Sheet(["a"], {"a": as_text(texts)}, np.arange(len(texts)) + 2, "--data")


@pytest.mark.parametrize(
    ("texts", "labels", "names"),
    [
        (("3", "-1", "3"), [3, -1, 3], ()),
        (("3.0", "1.0", "2"), [3, 1, 2], ()),
        (("b", "c", "a"), [1, 2, 0], ("a", "b", "c")),
        (("10", "9", "a"), [0, 1, 2], ("10", "9", "a")),
    ],
)
def test_integers_stay_and_texts_are_numbered_in_sorted_order(
    texts: tuple[str, ...], labels: list[int], names: tuple[str, ...]
) -> None:
    found, found_names = labels_of(sheet(*texts), ReadOptions(label_column="a"))
    assert found is not None and found.dtype == np.int32
    assert found.tolist() == labels
    assert found_names == names
    assert labels_of(sheet(*texts), ReadOptions()) == (None, ())


def test_a_column_says_which_rows_are_test() -> None:
    options = ReadOptions(split_column="a")
    assert is_test_of(sheet("test", "train", "Test"), options).tolist() == [1, 0, 1]


def test_without_it_a_fixed_share_is_test() -> None:
    rows = sheet(*("x",) * 1000)
    shares = [is_test_of(rows, ReadOptions(test_share=s)) for s in (0.2, 0.2, 0.5)]
    assert [share.sum() for share in shares] == [200, 200, 500]
    np.testing.assert_array_equal(shares[0], shares[1])
    assert (shares[0] <= shares[2]).all()  # a larger share keeps the test rows
    halves = shares[0][:500].sum(), shares[0][500:].sum()
    assert min(halves) > 70  # of 100: not the first rows
