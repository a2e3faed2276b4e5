"""The handwritten digits that come with the package."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy import ndarray as Array


def load_digits() -> tuple[Array, Array]:
    """1,797 handwritten digits of 8×8 pixels, in the order of scikit-learn's `load_digits`.

    Returns x (1797, 64), float32, the darkness of each pixel from 0 to 1 in steps of 1/16, row by row; and
    y (1797,), int64, the digit.
    Source: Alpaydin and Kaynak 1998, Optical Recognition of Handwritten Digits, UCI, CC BY 4.0 (doi:10.24432/C50P49).
    """
    here = Path(__file__).parents[1]
    installed, checkout = here / "_data" / "digits.npz", here.parent / "datasets" / "digits.npz"
    with np.load(installed if installed.exists() else checkout, allow_pickle=False) as file:
        images, labels = file["images"], file["labels"]
    return images.reshape(-1, 64).astype(np.float32) / 16, labels.astype(np.int64)
