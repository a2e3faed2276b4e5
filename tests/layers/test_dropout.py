import copy

import numpy as np
import pytest

from minnet import Dropout, Linear, ReLU, Sequential, check_layer, generator, seed


def frozen(values, dtype=np.float64):
    array = np.array(values, dtype)
    array.flags.writeable = False
    return array


def ones(*shape, dtype=np.float64):
    return frozen(np.ones(shape), dtype)


@pytest.mark.rows("p", [0.0, 0.3, 0.5, 1.0])
def test_dropout_does_nothing_in_eval_mode(p):
    layer, x, dy = Dropout(p, rng=0).eval(), frozen([[1, -2, 3]]), frozen([[4, 5, -6]])
    state = layer.rng.bit_generator.state
    assert layer(x).tolist() == x.tolist()
    assert layer.backward(dy).tolist() == dy.tolist()
    assert layer.rng.bit_generator.state == state


@pytest.mark.rows(("p", "scale"), [(0.2, 1.25), (0.5, 2.0), (0.75, 4.0), (0.9, 10.0)])
def test_a_share_of_p_is_dropped_and_the_rest_is_scaled_up(p, scale):
    layer, x = Dropout(p, rng=0), frozen(np.arange(1, 40_001).reshape(200, 200))
    y = layer(x)
    kept = y != 0
    assert np.allclose(y[kept], x[kept] * scale, rtol=1e-12, atol=1e-15)
    assert (~kept).mean() == pytest.approx(p, abs=0.01)


SHARES = [0.5, 0.25, 1 / 256, 255 / 256, 2**-16, 0.1, 0.3, 1e-6, 1 - 1e-6, 2**-40, 1 - 2**-40]


@pytest.mark.rows(
    "p, bits",
    [
        *((p, np.random.PCG64) for p in SHARES),
        *((p, bits) for p in (0.25, 0.3, 1e-6) for bits in (np.random.MT19937, np.random.Philox)),
    ],
)
def test_the_share_of_p_is_right_from_however_many_bits_it_is_drawn(p, bits):
    n = 400_003
    dropped = np.count_nonzero(Dropout(p, rng=np.random.Generator(bits(0)))(ones(n)) == 0)
    # Five standard deviations, and one entry where hardly any are expected.
    assert abs(dropped - n * p) < 5 * np.sqrt(n * p * (1 - p)) + 1


def test_a_probability_that_needs_more_than_sixteen_bits_is_not_rounded_to_none():
    # Of 800,000 entries six are dropped at 2⁻¹⁷, the half of 2⁻¹⁶.
    assert 0 < np.count_nonzero(Dropout(2**-17, rng=0)(np.ones(800_000, np.float32)) == 0) < 20


@pytest.mark.rows("p", [0.5, 0.3])
@pytest.mark.rows("shape", [(1,), (7,), (3, 3), (0, 4), (2, 1, 9)], ids=str)
def test_any_number_of_entries_is_drawn(p, shape):
    assert Dropout(p, rng=0)(ones(*shape)).shape == shape


def test_the_mean_stays_what_it_was():
    assert Dropout(0.3, rng=1)(ones(400, 400)).mean() == pytest.approx(1, abs=0.01)


def test_entries_are_dropped_one_by_one_and_not_by_row_or_column():
    kept = Dropout(0.5, rng=2)(ones(300, 300)) != 0
    # Each row and each column loses about half; 0.15 is five standard deviations.
    assert abs(kept.mean(axis=0) - 0.5).max() < 0.15
    assert abs(kept.mean(axis=1) - 0.5).max() < 0.15
    # Neighbours have nothing to do with each other: both are kept a quarter of the time.
    assert (kept[:, 1:] & kept[:, :-1]).mean() == pytest.approx(0.25, abs=0.01)
    assert (kept[1:] & kept[:-1]).mean() == pytest.approx(0.25, abs=0.01)


def test_the_gradient_passes_where_the_input_passed_and_is_scaled_as_it_was():
    layer, x = Dropout(0.75, rng=3), ones(50, 20)
    y, dy = layer(x), frozen(np.arange(1, 1001).reshape(50, 20))
    dx = layer.backward(dy)
    assert np.array_equal(dx != 0, y != 0)
    assert np.array_equal(dx[y != 0], 4 * dy[y != 0])
    assert 150 < np.count_nonzero(dx) < 350


def test_backward_does_not_draw():
    layer, dy = Dropout(0.5, rng=4), ones(20, 20)
    layer(dy)
    state = layer.rng.bit_generator.state
    first = layer.backward(dy)
    assert np.array_equal(layer.backward(dy), first)
    assert layer.rng.bit_generator.state == state


def test_each_forward_drops_others_and_its_backward_follows_it():
    layer, x = Dropout(0.5, rng=5), ones(10, 10)
    first, second = layer(x), layer(x)
    assert not np.array_equal(first, second)
    assert np.array_equal(layer.backward(x), second)
    smaller = layer(ones(3, 2))
    assert np.array_equal(layer.backward(ones(3, 2)), smaller)


def test_backward_follows_the_mode_of_its_forward():
    layer, x = Dropout(0.5, rng=6), ones(10, 10)
    y = layer(x)
    assert np.array_equal(layer.eval().backward(x), y)
    layer(x)
    assert np.array_equal(layer.train().backward(x), x)


def test_nothing_is_dropped_and_nothing_drawn_for_p_zero():
    layer, x = Dropout(0, rng=7), frozen([[1, 2, 3]])
    state = layer.rng.bit_generator.state
    assert layer(x).tolist() == [[1, 2, 3]]
    assert layer.backward(x).tolist() == [[1, 2, 3]]
    assert layer.rng.bit_generator.state == state


@pytest.mark.rows("dtype", [np.float32, np.float64])
def test_all_is_dropped_for_p_one_without_a_division_by_zero(dtype):
    layer, x = Dropout(1, rng=8), frozen([[1e4, -2, 3]], dtype)
    assert layer(x).tolist() == [[0, 0, 0]]
    assert layer.backward(x).tolist() == [[0, 0, 0]]
    assert layer(x).dtype == layer.backward(x).dtype == dtype


def test_the_same_rng_drops_the_same():
    x = ones(10, 10)
    assert np.array_equal(Dropout(rng=1)(x), Dropout(rng=np.random.default_rng(1))(x))
    assert not np.array_equal(Dropout(rng=1)(x), Dropout(rng=2)(x))
    seed(3)
    first = Dropout()(x)
    seed(3)
    assert np.array_equal(Dropout()(x), first)


def test_an_rng_of_its_own_leaves_the_generator_of_the_package_alone():
    before = generator().bit_generator.state
    Dropout(rng=1)(ones(5, 5))
    assert generator().bit_generator.state == before


def test_the_generator_is_found_by_whoever_saves_the_model():
    model = Sequential(Linear(2, 2), Dropout(rng=1))
    assert list(model.walk(np.random.Generator)) == ["1.rng"]
    assert not Dropout().state_dict()


def test_a_copy_drops_the_same_as_the_original_and_does_not_move_it():
    layer, x = Dropout(rng=9), ones(10, 10)
    twin = copy.deepcopy(layer)
    y = twin(x)
    assert np.array_equal(layer(x), y)


@pytest.mark.rows("training", [True, False])
@pytest.mark.rows("dtype", [np.float32, np.float64])
def test_float32_and_float64_are_kept(training, dtype):
    layer, x = Dropout(0.3).train(training), ones(3, 4, dtype=dtype)
    assert layer(x).dtype == dtype
    assert layer.backward(x).dtype == dtype


def test_integers_become_float32():
    assert Dropout(0.5)(np.ones((2, 3), int)).dtype == np.float32
    assert Dropout(0.5).eval()([[1, 2]]).dtype == np.float32


@pytest.mark.rows(
    "p, shape", [(0.0, (5,)), (0.1, (2, 3, 5)), (0.5, (7, 3)), (0.9, (2, 1, 3, 2)), (1.0, (1, 1))], ids=str
)
def test_dropout_keeps_the_contract(p, shape):
    check_layer(Dropout(p, rng=0), np.random.default_rng(0).normal(size=shape))


def test_dropout_keeps_the_contract_between_other_layers():
    check_layer(Sequential(Linear(4, 6, rng=0), Dropout(0.4), ReLU()), np.random.default_rng(1).normal(size=(5, 4)))


def test_p_is_the_probability_of_dropping_and_half_by_default():
    assert Dropout().p == 0.5
    assert np.count_nonzero(Dropout(0.95, rng=0)(ones(100, 100))) < 1000


@pytest.mark.rows("p", [-0.1, 1.1, float("nan"), float("inf"), 50])
def test_p_outside_of_zero_to_one_is_refused(p):
    with pytest.raises(ValueError, match=r"^Dropout: expected p "):
        Dropout(p)


@pytest.mark.rows("p", ["0.5", None, [0.5]])
def test_p_of_another_type_is_a_type_error(p):
    with pytest.raises(TypeError):
        Dropout(p)


def test_an_rng_of_another_kind_is_a_type_error():
    with pytest.raises(TypeError, match="expected a seed"):
        Dropout(0.5, rng=1.5)
