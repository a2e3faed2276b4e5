"""Sequences of unequal length, both directions of time, first and last states, and single steps."""

import re
from pathlib import Path

import numpy as np
import pytest

from minnet import GRU, LSTM, RNN, Concatenate, Layer, check_layer

PYTORCH = Path(__file__).parents[1] / "data" / "recurrent.npz"
N, T, D, H = 4, 5, 3, 2
LENGTHS = np.array([3, 5, 0, 1])


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def randomized(layer):
    layer.astype(np.float64)
    for i, parameter in enumerate(layer.parameters()):
        parameter.data[...] = random(*parameter.data.shape, seed=10 + i)
    return layer


def gradients(layer):
    return [parameter.grad.copy() for parameter in layer.parameters()]


def random_state(kind, rows=N, seed=20):
    """A state, or a gradient of one."""
    arrays = random(2, rows, H, seed=seed)
    return tuple(arrays) if kind is LSTM else arrays[0]


def parts(state):
    return list(state) if isinstance(state, tuple) else [state]


def rows(state, which):
    return tuple(array[which] for array in state) if isinstance(state, tuple) else state[which]


def close(got, expected):
    np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-12)


every_kind = pytest.mark.rows("kind", [RNN, LSTM, GRU])
both_directions = pytest.mark.rows("reverse", [False, True], ids=["forward", "reverse"])


# As PyTorch has them: bidirectional, sequences packed by their lengths, first states given, last states used.


def loaded(kind, arrays, direction):
    layer = kind(D, H, reverse=bool(direction)).astype(np.float64)
    layer.load_state_dict({name: arrays[f"{kind.__name__}.{name}"][direction] for name in layer.named_parameters()})
    return layer


@every_kind
def test_both_directions_have_the_values_and_gradients_that_pytorch_gives(kind):
    arrays = np.load(PYTORCH)
    dx, expected = 0, {name.split(".")[1]: arrays[name] for name in arrays if name.startswith(kind.__name__)}
    for direction, features in enumerate((slice(None, H), slice(H, None))):
        layer = loaded(kind, arrays, direction)
        first = [arrays[name][direction] for name in ("h", "c")[: len(expected["dfirst"])]]
        dlast = [arrays[name][direction] for name in ("dh_last", "dc_last")[: len(first)]]
        close(layer((arrays["x"], *first), arrays["lengths"]), expected["y"][..., features])
        last = parts(layer.last_state())
        dx_part, *dfirst = layer.backward(arrays["dy"][..., features], tuple(dlast) if kind is LSTM else dlast[0])
        dx = dx + dx_part
        close(last, expected["last"][:, direction])
        close(dfirst, expected["dfirst"][:, direction])
        for name, parameter in layer.named_parameters().items():
            close(parameter.grad, expected[f"d{name}"][direction])
    close(dx, expected["dx"])


# Lengths


@every_kind
@both_directions
@pytest.mark.rows("padding", [1e6, "random", np.nan, np.inf], ids=str)
def test_each_sequence_gives_what_it_gives_alone_whatever_is_in_the_padding(kind, reverse, padding):
    layer, alone = randomized(kind(D, H, reverse=reverse)), randomized(kind(D, H, reverse=reverse))
    x, dy, first, dlast = random(N, T, D), random(N, T, H, seed=1), random_state(kind), random_state(kind, seed=30)
    outside = np.arange(T) >= LENGTHS[:, None]
    for array in (x, dy):
        array[outside] = random(*array[outside].shape, seed=2) if padding == "random" else padding
    y = layer((x, *parts(first)), LENGTHS)
    last = layer.last_state()
    dx, *dfirst = layer.backward(dy, dlast)
    assert not y[outside].any() and not dx[outside].any()
    for n, length in enumerate(LENGTHS):
        row = slice(n, n + 1)
        if not length:
            close(parts(rows(last, row)), parts(rows(first, row)))
            close([d[row] for d in dfirst], parts(rows(dlast, row)))
            continue
        close(y[row, :length], alone((x[row, :length], *parts(rows(first, row)))))
        close(parts(rows(last, row)), parts(alone.last_state()))
        dx_alone, *dfirst_alone = alone.backward(dy[row, :length], rows(dlast, row))
        alone.clear_cache()
        close(dx[row, :length], dx_alone)
        close([d[row] for d in dfirst], dfirst_alone)
    for got, expected in zip(gradients(layer), gradients(alone)):
        close(got, expected)


@every_kind
@both_directions
def test_the_padding_does_not_change_a_bit(kind, reverse):
    results = []
    for padding in (0, 1e6, np.nan):
        layer, x, dy = kind(D, H, reverse=reverse, rng=0), random(N, T, D), random(N, T, H, seed=1)
        x[np.arange(T) >= LENGTHS[:, None]] = dy[np.arange(T) >= LENGTHS[:, None]] = padding
        results.append([layer(x, LENGTHS), layer.backward(dy), *gradients(layer)])
    np.testing.assert_equal(results[1], results[0])
    np.testing.assert_equal(results[2], results[0])


@every_kind
@both_directions
def test_lengths_of_all_steps_are_as_no_lengths(kind, reverse):
    layer, plain = randomized(kind(D, H, reverse=reverse)), randomized(kind(D, H, reverse=reverse))
    x, dy, dlast = random(N, T, D), random(N, T, H, seed=1), random_state(kind)
    close(layer(x, [T] * N), plain(x))
    close(parts(layer.last_state()), parts(plain.last_state()))
    close(layer.backward(dy, dlast), plain.backward(dy, dlast))
    for got, expected in zip(gradients(layer), gradients(plain)):
        close(got, expected)


@every_kind
@both_directions
def test_a_batch_of_empty_sequences_gives_zeros(kind, reverse):
    layer = kind(D, H, reverse=reverse)
    y = layer(np.full((2, 3, D), np.nan), [0, 0])
    assert not y.any() and not np.any(layer.last_state())
    assert not layer.backward(np.full((2, 3, H), np.nan)).any()
    assert not any(gradient.any() for gradient in gradients(layer))


@every_kind
def test_lengths_that_do_not_fit_are_refused_by_the_layer(kind):
    with pytest.raises(ValueError, match=rf"^{kind.__name__}\(3, 2\): expected lengths from 0 to the 5 steps"):
        kind(D, H)(random(2, T, D), [1, 6])
    with pytest.raises(TypeError, match=rf"^{kind.__name__}\(3, 2\): expected lengths to be ints"):
        kind(D, H)(random(2, T, D), [1.0, 2.0])


# Reverse


@every_kind
def test_reverse_reads_from_the_last_step_to_the_first_and_leaves_each_y_at_its_step(kind):
    layer, other = randomized(kind(D, H, reverse=True)), randomized(kind(D, H))
    x, dy, dlast = random(N, T, D), random(N, T, H, seed=1), random_state(kind)
    close(layer(x), other(x[:, ::-1])[:, ::-1])
    close(parts(layer.last_state()), parts(other.last_state()))
    close(layer.backward(dy, dlast), other.backward(dy[:, ::-1], dlast)[:, ::-1])
    for got, expected in zip(gradients(layer), gradients(other)):
        close(got, expected)


@every_kind
def test_both_directions_side_by_side_are_one_layer(kind):
    there, back = randomized(kind(D, H)), randomized(kind(D, H, reverse=True))
    model, x, dy = Concatenate(there, back), random(N, T, D), random(N, T, 2 * H, seed=1)
    y, dx = model(x), model.backward(dy)
    close(y, np.concatenate([there.forward(x), back.forward(x)], axis=2))
    close(dx, there.backward(dy[..., :H]) + back.backward(dy[..., H:]))


@every_kind
@pytest.mark.rows("bad", [1.5, "yes", None], ids=repr)
def test_reverse_is_true_or_false_and_given_by_name(kind, bad):
    with pytest.raises(TypeError, match=rf"^{kind.__name__}: expected reverse to be True or False"):
        kind(D, H, reverse=bad)
    with pytest.raises(TypeError):
        kind(D, H, True)
    assert repr(kind(D, H, reverse=True)) == f"{kind.__name__}(3, 2, reverse=True)"


# First and last states


@every_kind
@pytest.mark.rows("lengths", [None, LENGTHS], ids=str)
def test_a_sequence_in_two_parts_gives_what_it_gives_in_one(kind, lengths):
    whole, part = randomized(kind(D, H)), randomized(kind(D, H))
    x, dy, first, dlast = random(N, T, D), random(N, T, H, seed=1), random_state(kind), random_state(kind, seed=30)
    y, last = whole((x, *parts(first)), lengths), whole.last_state()
    dx, *dfirst = whole.backward(dy, dlast)
    before = None if lengths is None else np.minimum(lengths, 2)
    after = None if lengths is None else lengths - before
    y_before, middle = part((x[:, :2], *parts(first)), before), part.last_state()
    close(np.concatenate([y_before, part((x[:, 2:], *parts(middle)), after)], axis=1), y)
    close(parts(part.last_state()), parts(last))
    part.clear_cache()
    part((x[:, 2:], *parts(middle)), after)
    dx_after, *dmiddle = part.backward(dy[:, 2:], dlast)
    part.clear_cache()
    part((x[:, :2], *parts(first)), before)
    dx_before, *dfirst_of_parts = part.backward(dy[:, :2], tuple(dmiddle) if kind is LSTM else dmiddle[0])
    close(np.concatenate([dx_before, dx_after], axis=1), dx)
    close(dfirst_of_parts, dfirst)
    for got, expected in zip(gradients(part), gradients(whole)):
        close(got, expected)


class Translator(Layer):
    """A decoder that begins where the encoder has ended."""

    def __init__(self, kind, reverse=False):
        self.encoder, self.decoder = kind(D, H, reverse=reverse), kind(D, H)

    def forward(self, x, lengths, targets):
        source, target = x
        self.cache = self.encoder(source, lengths).shape
        return self.decoder((target, *parts(self.encoder.last_state())), targets)

    def backward(self, dy):
        dtarget, *dstate = self.decoder.backward(dy)
        dstate = tuple(dstate) if len(dstate) > 1 else dstate[0]
        return self.encoder.backward(np.zeros(self.cache, dy.dtype), dstate), dtarget


@every_kind
@both_directions
def test_encoder_and_decoder_are_joined_by_the_last_state_and_its_gradient(kind, reverse):
    x = random(3, 4, D), random(3, 2, D, seed=1)
    check_layer(Translator(kind, reverse), x, np.array([4, 0, 2]), np.array([0, 1, 2]))


@every_kind
@both_directions
@pytest.mark.rows("lengths", [[], [LENGTHS]], ids=["whole", "lengths"])
def test_the_contract_holds_with_a_first_state(kind, reverse, lengths):
    layer, x = kind(D, H, reverse=reverse), (random(N, T, D), *parts(random_state(kind)))
    report = check_layer(layer, x, *lengths)
    assert {"x[0]", "x[1]"} <= {check.name for check in report.gradients}


@every_kind
def test_a_gradient_of_the_last_state_alone_reaches_a_first_state_that_was_not_given(kind):
    layer = randomized(kind(D, H))
    layer(random(N, T, D))
    dx = layer.backward(np.zeros((N, T, H)), random_state(kind))
    assert isinstance(dx, np.ndarray) and dx.any()
    assert layer.W.grad.any()


@every_kind
def test_dx_and_the_first_states_gradient_are_left_out_where_nobody_will_use_them(kind):
    layer = randomized(kind(D, H))
    layer((random(N, T, D), *parts(random_state(kind))))
    layer.input_gradient = False
    assert layer.backward(random(N, T, H), random_state(kind)) is None
    assert all(gradient.any() for gradient in gradients(layer))


@every_kind
def test_nothing_that_belongs_to_a_state_is_written_to(kind):
    layer, x, lengths = randomized(kind(D, H)), random(N, T, D), LENGTHS.copy()
    first, dlast, dy = random_state(kind), random_state(kind, seed=30), random(N, T, H, seed=1)
    for array in (x, *parts(first), *parts(dlast), dy, lengths):
        array.flags.writeable = False
    layer((x, *parts(first)), lengths)
    dx = layer.backward(dy, dlast)
    for array in parts(layer.last_state()):
        array[...] = 7
    np.testing.assert_equal(layer.backward(dy, dlast), dx)
    layer.step(x[:, 0], first)


@every_kind
@pytest.mark.rows("sizes", [(1, 1), (1, 3), (3, 1)], ids=str)
def test_y_can_be_written_to_without_harm_whatever_its_shape(kind, sizes):
    layer, plain, x = randomized(kind(D, H)), randomized(kind(D, H)), random(*sizes, D)
    layer(x)[...] = 7
    plain(x)
    dy = random(*sizes, H)
    np.testing.assert_array_equal(layer.backward(dy), plain.backward(dy))


@every_kind
def test_states_of_another_dtype_are_cast_and_float32_stays(kind):
    layer = kind(D, H)
    y = layer((random(N, T, D), *parts(random_state(kind))), LENGTHS)
    assert {y.dtype, *(array.dtype for array in parts(layer.last_state()))} == {np.dtype(np.float32)}
    d = layer.backward(np.ones_like(y), random_state(kind))
    assert {array.dtype for array in d} == {np.dtype(np.float32)}


@every_kind
def test_the_last_state_before_forward_is_an_error_that_names_the_layer(kind):
    layer = kind(D, H)
    told = rf"^{kind.__name__}\(3, 2\): last_state before forward"
    with pytest.raises(RuntimeError, match=told):
        layer.last_state()
    layer(random(N, T, D))
    layer.clear_cache()
    with pytest.raises(RuntimeError, match=told):
        layer.last_state()


def arrays_of(*shapes):
    return tuple(np.zeros(shape) for shape in shapes)


@pytest.mark.rows(
    "layer, x, error, told",
    [
        (RNN(D, H), arrays_of((4, 5, 3), (4, 3)), ValueError, "the first state to have h of shape (4, 2), got (4, 3)"),
        (GRU(D, H), arrays_of((4, 5, 3), (2,)), ValueError, "the first state to have h of shape (4, 2), got (2,)"),
        (
            LSTM(D, H),
            arrays_of((4, 5, 3), (4, 2), (5, 2)),
            ValueError,
            "the first state to have c of shape (4, 2), got (5, 2)",
        ),
        (
            LSTM(D, H),
            arrays_of((4, 5, 3), (4, 2)),
            TypeError,
            "x of shape (N, T, 3), or (x, h, c) with the first state, got a tuple of 2 arrays",
        ),
        (
            GRU(D, H),
            arrays_of((4, 5, 3), (4, 2), (4, 2)),
            TypeError,
            "x of shape (N, T, 3), or (x, h) with the first state, got a tuple of 3 arrays",
        ),
        (RNN(D, H), (np.zeros((4, 5, 3)), None), TypeError, "real numbers, got None"),
    ],
)
def test_a_first_state_that_does_not_fit_is_refused(layer, x, error, told):
    with pytest.raises(error, match=f"^{re.escape(f'{layer!r}: expected {told}')}$"):
        layer(x)


@pytest.mark.rows(
    "layer, state, error, told",
    [
        (RNN(D, H), np.zeros((4, 3)), ValueError, "to have h of shape (4, 2), got (4, 3)"),
        (GRU(D, H), arrays_of((4, 2)), TypeError, "to be the array h, got a tuple of 1"),
        (GRU(D, H), 1.5, ValueError, "to have h of shape (4, 2), got ()"),
        (LSTM(D, H), arrays_of((4, 2), (1, 2)), ValueError, "to have c of shape (4, 2), got (1, 2)"),
        (LSTM(D, H), arrays_of((4, 2)), TypeError, "to be a tuple (h, c), got a tuple of 1"),
        (LSTM(D, H), np.zeros((4, 2)), TypeError, "to be a tuple (h, c), got an array of shape (4, 2)"),
        (LSTM(D, H), np.zeros((2, 4, 2)), TypeError, "to be a tuple (h, c), got an array of shape (2, 4, 2)"),
    ],
)
def test_a_state_or_its_gradient_that_does_not_fit_is_refused(layer, state, error, told):
    layer(np.zeros((4, 5, 3)))
    with pytest.raises(error, match=f"^{re.escape(f'{layer!r}: expected dstate {told}')}$"):
        layer.backward(np.zeros((4, 5, 2)), state)
    with pytest.raises(error, match=f"^{re.escape(f'{layer!r}: expected state {told}')}$"):
        layer.step(np.zeros((4, 3)), state)
    layer.clear_cache()


# Steps


@every_kind
def test_steps_give_what_forward_gives(kind):
    layer, x, first = randomized(kind(D, H)), random(N, T, D), random_state(kind)
    for state, given in ((None, x), (first, (x, *parts(first)))):
        y = layer.forward(given)
        for t in range(T):
            y_t, state = layer.step(x[:, t], state)
            close(y_t, y[:, t])
        close(parts(state), parts(layer.last_state()))


@every_kind
def test_steps_go_on_from_where_forward_has_ended(kind):
    layer, x = randomized(kind(D, H)), random(N, T, D)
    y = layer.forward(x)
    layer.forward(x[:, :-1])
    close(layer.step(x[:, -1], layer.last_state())[0], y[:, -1])


@every_kind
def test_a_step_leaves_the_cache_the_gradients_and_the_states_it_was_given_alone(kind):
    layer = randomized(kind(D, H))
    layer.step(random(N, D))
    assert "cache" not in vars(layer)
    y = layer(random(N, T, D))
    cache = layer.cache
    y_t, state = layer.step(random(N, D, seed=1), first := random_state(kind))
    kept = [array.copy() for array in parts(state)]
    y_t[...] = 7
    np.testing.assert_equal(parts(state), kept)
    np.testing.assert_equal(parts(first), parts(random_state(kind)))
    assert layer.cache is cache
    assert not any(gradient.any() for gradient in gradients(layer))
    layer.backward(np.ones_like(y))


@every_kind
def test_a_step_is_of_the_parameters_dtype_and_of_any_batch(kind):
    layer = kind(D, H)
    for rows_of_x in (0, 1, 3):
        y_t, state = layer.step(random(rows_of_x, D))
        assert y_t.shape == (rows_of_x, H)
        assert {y_t.dtype, *(array.dtype for array in parts(state))} == {np.dtype(np.float32)}


@every_kind
@pytest.mark.rows("shape", [(D,), (N, D + 1), (N, T, D), ()], ids=str)
def test_a_step_of_another_shape_is_refused_by_the_layer(kind, shape):
    with pytest.raises(ValueError, match=rf"^{kind.__name__}\(3, 2\): expected x"):
        kind(D, H).step(np.zeros(shape))


@every_kind
def test_a_layer_that_reads_in_reverse_has_no_steps(kind):
    with pytest.raises(TypeError, match=rf"^{kind.__name__}\(3, 2, reverse=True\): expected reverse=False for step"):
        kind(D, H, reverse=True).step(np.zeros((N, D)))
