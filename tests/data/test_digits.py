import hashlib
from pathlib import Path

import numpy as np

from minnet import load_digits

DATASETS = Path(__file__).parents[2] / "datasets"


def test_the_digits_have_the_promised_shapes_and_dtypes():
    x, y = load_digits()
    assert x.shape == (1797, 64) and x.dtype == np.float32
    assert y.shape == (1797,) and y.dtype == np.int64


def test_the_digits_are_those_of_scikit_learn_in_its_order():
    x, y = load_digits()
    assert np.array_equal(x * 16, np.round(x * 16))
    arrays = (x * 16).astype(np.uint8), y.astype(np.uint8)
    # scikit-learn gives these for load_digits().data and .target as uint8.
    assert [hashlib.sha256(array.tobytes()).hexdigest() for array in arrays] == [
        "8f26b2bd9d135c256808f68f14fdabddde6d9c7f869ae419704b051f0f14b3b3",
        "8ba4f891220f5e4c9c819638d1602d74b83618f167043c6da52a2a247841ddf0",
    ]
    assert np.bincount(y).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert (x[0, :16] * 16).tolist() == [0, 0, 5, 13, 9, 1, 0, 0, 0, 0, 13, 15, 10, 15, 5, 0]


def test_the_data_file_is_small():
    assert (DATASETS / "digits.npz").stat().st_size <= 60_000


def test_the_data_come_with_their_source_and_licence():
    text = (DATASETS / "README.md").read_text(encoding="utf-8")
    words = (
        "Alpaydin",
        "Kaynak",
        "Optical Recognition of Handwritten Digits",
        "UCI",
        "CC BY 4.0",
        "creativecommons.org/licenses/by/4.0",
    )
    assert [word for word in words if word not in text] == []
