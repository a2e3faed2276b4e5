import numpy as np
import pytest

from minnet.insight.differences import Differences


def compare(f, x, gradient, dy=None, seed=0):
    """Compare the gradient of Σ dy f(x) with differences."""
    dy = np.ones_like(f(x)) if dy is None else dy
    return Differences(lambda: f(x), dy, np.random.default_rng(seed)).compare(x, gradient)


def normal(*shape):
    return np.random.default_rng(0).normal(size=shape)


# A function of each entry and its derivative, from a table of derivatives.
FUNCTIONS = {
    "a constant": (np.ones_like, np.zeros_like),
    "x": (lambda x: 1 * x, np.ones_like),
    "x²": (lambda x: x**2, lambda x: 2 * x),
    "x⁵": (lambda x: x**5, lambda x: 5 * x**4),
    "exp x": (np.exp, np.exp),
    "sin x": (np.sin, np.cos),
    "sin 1000 x": (lambda x: np.sin(1000 * x), lambda x: 1000 * np.cos(1000 * x)),
    "atan x": (np.arctan, lambda x: 1 / (1 + x**2)),
}

every_function = pytest.mark.rows("f, derivative", FUNCTIONS.values(), ids=FUNCTIONS)


@every_function
@pytest.mark.rows("shape", [(), (1,), (3, 4), (20, 30)])
def test_a_right_gradient_has_no_complaint(f, derivative, shape):
    x, dy = np.array(normal(*shape)), np.array(normal(*shape, 2)[..., 1])
    for seed in range(2):
        comparison = compare(f, x, dy * derivative(x), dy, seed)
        assert comparison.complaint == ""
        assert comparison.error < 1e-4
        assert comparison.kinks == 0


@every_function
@pytest.mark.rows("shape", [(), (3, 4), (20, 30)])
@pytest.mark.rows("factor", [-1.0, 0.999, 1.001])
def test_a_wrong_gradient_is_complained_of(f, derivative, shape, factor):
    x = np.array(normal(*shape))
    wrong = factor * derivative(x) + (derivative(x) == 0)
    for seed in range(2):
        assert "backward gives" in compare(f, x, wrong, seed=seed).complaint


@pytest.mark.rows("size", [1e-8, 1e-3, 1e3, 1e8])
def test_the_step_follows_the_size_of_the_values(size):
    x = size * normal(3, 4)
    right = 3 * x**2 / size**3
    assert compare(lambda x: (x / size) ** 3, x, right).complaint == ""
    assert compare(lambda x: (x / size) ** 3, x, 1.0001 * right).complaint != ""


def test_values_far_from_zero_are_moved_by_less_than_they_differ():
    x = 1e4 + normal(3, 4)
    assert compare(lambda x: np.sin(x), x, np.cos(x)).complaint == ""


def test_where_no_step_is_exact_the_two_that_agree_best_say_what_can_be_known():
    for seed in range(15):
        x = 1e6 + np.random.default_rng(seed).normal(size=(8, 4))
        dy = np.random.default_rng(seed + 1000).normal(size=(8, 4))
        e = np.exp(x - x.max(axis=1, keepdims=True))
        p = e / e.sum(axis=1, keepdims=True)
        right = p * (dy - (dy * p).sum(axis=1, keepdims=True))

        def softmax(x):
            e = np.exp(x - x.max(axis=1, keepdims=True))
            return e / e.sum(axis=1, keepdims=True)

        assert compare(softmax, x, right, dy, seed).complaint == ""
        assert compare(softmax, x, 1.1 * right, dy, seed).complaint != ""


def test_the_edge_of_the_domain_is_not_crossed():
    x = np.geomspace(1e-3, 10, 20)
    assert compare(np.log, x, 1 / x).complaint == ""
    assert compare(np.log, x, 1.001 / x).complaint != ""


def test_the_complaint_gives_the_place_and_both_derivatives():
    x = np.array([[1.0, 2.0], [3.0, 4.0]])
    gradient = 2 * x
    gradient[1, 0] = 4.5
    complaint = compare(np.square, x, gradient).complaint
    assert complaint == "at (1, 0): backward gives 4.50, differences give 6.00 (relative error 2.5e-01)"


def test_the_worst_of_several_wrong_entries_is_named():
    x = np.ones(3)
    assert compare(np.square, x, np.array([2.0, 3.0, 2.5])).complaint.startswith("at (1,): backward gives 3.00")


def test_values_that_differ_late_are_given_with_more_digits():
    complaint = compare(np.square, np.ones(1), np.array([2.0001])).complaint
    assert complaint.startswith("at (0,): backward gives 2.0001, differences give 2")


def test_the_entry_of_an_array_without_axes_has_an_empty_place():
    assert compare(np.square, np.array(1.0), np.array(3.0)).complaint.startswith("at (): backward gives 3.00")


def test_all_entries_of_a_small_array_are_compared():
    x = normal(5, 7)
    for i in np.ndindex(x.shape):
        gradient = 2 * x
        gradient[i] += 0.1
        assert compare(np.square, x, gradient).complaint.startswith(f"at {i}: ")
    assert compare(np.square, x, 2 * x).checked == "35 of 35"


def test_a_single_wrong_entry_of_a_large_array_is_found_in_a_random_direction():
    x = normal(100, 100)
    gradient = 2 * x
    gradient[12, 34] += 0.1
    for seed in range(10):
        assert "backward gives" in compare(np.square, x, gradient, seed=seed).complaint
    assert compare(np.square, x, gradient).checked == "24 of 10000 and a direction"


@pytest.mark.rows("at_zero, right", [(0.0, True), (0.5, True), (1.0, True), (-0.01, False), (1.01, False)])
def test_on_a_kink_whatever_lies_between_the_slopes_is_right(at_zero, right):
    x = np.array([-1.0, 0.0, 2.0])
    comparison = compare(lambda x: np.maximum(x, 0), x, np.array([0.0, at_zero, 1.0]))
    assert (comparison.complaint == "") is right
    assert comparison.kinks == (1 if right and at_zero != 0.5 else 0)


def test_beside_a_kink_only_the_slope_of_that_side_is_right():
    x = np.array([1e-3, -1e-3, 1.0])
    assert compare(abs, x, np.sign(x)).complaint == ""
    assert compare(abs, x, np.array([0.5, -1.0, 1.0])).complaint.startswith("at (0,): ")
    assert compare(abs, x, np.array([1.0, 0.0, 1.0])).complaint.startswith("at (1,): ")


def test_a_right_gradient_is_not_accused_however_near_a_kink_is():
    for distance in np.geomspace(1e-12, 1e-3, 60):
        x = np.array([distance, -distance, 1.0, -1.0])
        assert compare(abs, x, np.sign(x)).complaint == ""


@pytest.mark.rows("size", [1000, 100_000])
def test_a_large_array_with_many_kinks_is_not_accused(size):
    x = normal(size)
    dy = np.random.default_rng(1).normal(size=size)
    for seed in range(5):
        assert compare(lambda x: np.maximum(x, 0), x, dy * (x > 0), dy, seed).complaint == ""


def test_a_kink_in_curvature_is_none():
    x = np.array([-1.0, 0.0, 1.0])
    comparison = compare(lambda x: np.maximum(x, 0) ** 2, x, np.array([0.0, 0.0, 2.0]))
    assert (comparison.complaint, comparison.kinks) == ("", 0)


def test_a_gradient_of_zero_is_told_from_a_small_one():
    x = normal(3, 4)
    assert compare(lambda x: 1e-6 * x, x, np.zeros_like(x)).complaint != ""
    assert compare(lambda x: 0 * x + 1e6, x, np.zeros_like(x)).complaint == ""


def test_a_small_difference_of_large_terms_is_not_accused():
    """A loss of 1e-13 whose two terms are of size 1: its rounding is that of the terms."""
    x = np.array([30.0, 0.1, -0.2])
    p = np.exp(x - 30) / np.exp(x - 30).sum()
    gradient = p - [1.0, 0.0, 0.0]
    assert compare(lambda x: np.log(np.exp(x - x.max()).sum()) + x.max() - x[0], x, gradient).complaint == ""


def test_a_gradient_that_is_not_a_number_is_complained_of_where_it_is():
    x = np.ones(3)
    assert compare(np.square, x, np.array([2.0, np.nan, 2.0])).complaint.startswith("at (1,): backward gives nan")


def test_the_array_is_left_as_it_was():
    x = normal(30, 40)
    before = x.copy()
    compare(np.square, x, 2 * x)
    np.testing.assert_array_equal(x, before)


def test_an_array_without_entries_has_no_error():
    comparison = compare(lambda x: x.sum(axis=0), np.zeros((0, 3)), np.zeros((0, 3)))
    assert (comparison.checked, comparison.error, comparison.complaint) == ("0 of 0", 0.0, "")


def test_the_same_generator_gives_the_same_comparison():
    x = normal(30, 40)
    assert compare(np.square, x, 2 * x, seed=3) == compare(np.square, x, 2 * x, seed=3)
    assert compare(np.square, x, 2 * x, seed=3) != compare(np.square, x, 2 * x, seed=4)


def test_a_complaint_comes_with_the_derivatives_of_all_entries_that_were_moved():
    x = normal(3, 4)
    assert compare(np.square, x, 2 * x).numeric is None
    np.testing.assert_allclose(compare(np.square, x, 3 * x).numeric, 2 * x, rtol=1e-6)
    x = normal(30, 40)
    numeric = compare(np.square, x, 3 * x).numeric
    sampled = np.isfinite(numeric)
    assert sampled.sum() == 24
    np.testing.assert_allclose(numeric[sampled], 2 * x[sampled], rtol=1e-6)


def test_rounding_that_a_function_makes_much_of_is_not_taken_for_a_slope():
    """A bias that cancels, in front of 1e8 times what is left of it: as a batch norm does, in front of thirty more."""
    rows, dy = np.random.default_rng(1).normal(size=(32, 1)), np.random.default_rng(2).normal(size=(32, 1))

    def cancels(b):
        z = rows + b
        return 1e8 * (z - z.mean(axis=0))

    for seed in range(200):
        b = np.random.default_rng(seed).normal(size=1)
        assert compare(cancels, b, np.zeros(1), dy, seed).complaint == ""
    assert compare(cancels, b, np.full(1, 1e4), dy).complaint != ""


@pytest.mark.rows("steepness", [1e6, 1e8, 1e10])
def test_a_slope_that_the_usual_steps_are_too_large_for_is_measured_with_smaller_ones(steepness):
    x = np.array([0.3, -0.2, 0.7])

    def steep(x):
        return np.tanh(steepness * (x - before))

    before = x.copy()
    assert compare(steep, x, np.full(3, steepness)).complaint == ""
    for factor in (-1, 0, 0.5, 2):
        assert compare(steep, x, np.full(3, factor * steepness)).complaint != ""


def directions(f, x, gradient, seed=0):
    return Differences(lambda: f(x), 1.0, np.random.default_rng(seed)).compare_along_directions(x, gradient)


def test_a_few_directions_stand_for_all_entries():
    x = normal(6, 8)
    right = directions(np.square, x, 2 * x)
    assert (right.checked, right.complaint, right.kinks) == ("48 along 3 directions", "", 0)
    for i in np.ndindex(x.shape):
        wrong = 2 * x
        wrong[i] += 1e-3
        comparison = directions(np.square, x, wrong)
        assert comparison.complaint.startswith(f"at {i}: ") and comparison.numeric is not None


def test_on_a_kink_directions_give_way_to_entries():
    x = np.zeros((2, 3))
    assert directions(lambda x: np.maximum(x, 0), x, np.zeros((2, 3))).kinks == 6


def along(f, x, gradient, tolerance=1e-6, seed=0):
    """Compare the gradient of f(x), a number, along a direction; also how often f was called."""
    calls = []

    def counted():
        calls.append(1)
        return f(x)

    slope = Differences(counted, 1.0, np.random.default_rng(seed), tolerance).compare_direction(x, gradient)
    return slope, len(calls)


def test_a_direction_compares_all_entries_with_few_evaluations():
    x = normal(30, 40)
    for seed in range(5):
        slope, calls = along(lambda x: float((x**2).sum()), x, 2 * x, seed=seed)
        assert not slope.wrong and slope.error < 1e-6 and calls == 4
        wrong = 2 * x
        wrong[12, 34] += 0.1
        slope, calls = along(lambda x: float((x**2).sum()), x, wrong, seed=seed)
        assert slope.wrong and slope.analytic != slope.numeric and calls <= 22


@pytest.mark.rows("tolerance, wrong", [(1e-6, True), (1e-3, True), (1e-1, False)])
def test_an_error_below_the_tolerance_is_right(tolerance, wrong):
    x = normal(3, 4)
    assert along(lambda x: float((x**2).sum()), x, 2.02 * x, tolerance)[0].wrong is wrong


def test_on_a_kink_of_a_sum_a_direction_says_so():
    x = np.zeros(1)
    slope, _ = along(lambda x: float(np.maximum(x, 0).sum()), x, np.zeros(1))
    assert slope.on_kink and not slope.wrong


def test_where_the_smallest_step_leaves_the_domain_the_numeric_slope_is_nan():
    x = np.array([1e-20, 1.0])
    slope, _ = along(lambda x: float(np.log(x).sum()), x, 1 / x)
    assert np.isnan(slope.numeric)
