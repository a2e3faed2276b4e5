"""Images made larger."""

from pathlib import Path

import numpy as np
import pytest

from minnet import Upsample2d, check_layer

DATA = np.load(Path(__file__).parents[1] / "data" / "convolutions.npz")
CASES = sorted({name.rsplit(" ", 1)[0] for name in DATA if name.startswith(("nearest", "bilinear"))})


@pytest.mark.parametrize("case", CASES)
def test_a_larger_image_is_that_of_pytorch_forward_and_backward(case):
    mode, rows, columns = case.split(" ")[:3]
    layer = Upsample2d((int(rows.strip("(,")), int(columns.strip(",)"))), mode)
    np.testing.assert_allclose(layer(DATA[f"{case} x"]), DATA[f"{case} y"], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(layer.backward(DATA[f"{case} dy"]), DATA[f"{case} dx"], rtol=1e-9, atol=1e-12)


def test_pixels_repeat_or_lie_between_their_neighbours():
    x = np.array([[[[0.0], [4.0]]]])
    assert Upsample2d(2)(x)[0, ..., 0].tolist() == [[0, 0, 4, 4]] * 2
    assert Upsample2d((1, 2), "bilinear")(x)[0, ..., 0].tolist() == [[0, 1, 3, 4]]
    np.testing.assert_array_equal(Upsample2d(1, "bilinear")(x), x)


def test_a_pixel_that_is_no_number_is_repeated_and_reaches_no_other():
    x = np.array([[[[np.nan], [1.0]], [[2.0], [np.inf]]]])
    expected = [[np.nan, np.nan, 1, 1]] * 2 + [[2, 2, np.inf, np.inf]] * 2
    np.testing.assert_array_equal(Upsample2d(2)(x)[0, ..., 0], expected)


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
def test_the_gradients_of_a_larger_image_are_right(mode):
    assert check_layer(Upsample2d((2, 3), mode), np.random.default_rng(0).normal(size=(2, 3, 2, 2)))


@pytest.mark.parametrize(
    ("build", "error", "told"),
    [
        (lambda: Upsample2d(0), ValueError, "Upsample2d: expected scale to be at least 1, got 0"),
        (lambda: Upsample2d(1.5), TypeError, "Upsample2d: expected scale to be an int or a tuple of 2, got 1.5"),
        (lambda: Upsample2d(2, "cubic"), ValueError, 'expected mode to be "nearest" or "bilinear", got \'cubic\''),
        (lambda: Upsample2d(2)(np.ones((2, 3, 4))), ValueError, r"expected x of shape \(N, h, w, C\), got \(2, 3, 4\)"),
        (lambda: Upsample2d(2)(np.ones((2, 0, 4, 1))), ValueError, "expected x with room"),
    ],
)
def test_what_can_not_be_made_larger_is_refused(build, error, told):
    with pytest.raises(error, match=told):
        build()
