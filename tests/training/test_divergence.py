"""When training goes wrong: where it began is named, and nothing of the batch that did it remains."""

import re
import warnings

import numpy as np
import pytest

import minnet
from minnet import (
    SGD,
    Batches,
    BatchNorm,
    Buffer,
    Concatenate,
    Dropout,
    History,
    Layer,
    Linear,
    MeanSquaredError,
    Parameter,
    ReLU,
    Residual,
    Sequential,
    SoftmaxCrossEntropy,
    seed,
)
from minnet.training.divergence import without_warnings

X = np.array([[1, 2], [0, -1], [3, 1], [-2, 0.5]], np.float32)
Y = np.array([0, 1, 2, 1])


class Grows(Layer):
    """y = a x for x up to 50, and an infinity of its own beyond."""

    def __init__(self):
        self.a = Parameter([1.0])

    def forward(self, x):
        self.cache = x
        with np.errstate(over="ignore"):
            return x * self.a.data * (np.float32(1e30) * np.float32(1e30) if abs(x).max() > 50 else 1)

    def backward(self, dy):
        self.a.grad += (dy * self.cache).sum()
        return dy * self.a.data


class Steep(Layer):
    """y = x, with an infinite slope at x above 50."""

    def forward(self, x):
        self.cache = x
        return x

    def backward(self, dy):
        return np.where(abs(self.cache) > 50, np.inf, dy).astype(dy.dtype)


class SteepParameter(Layer):
    """y = x, and a parameter whose gradient is NaN at x above 50."""

    def __init__(self):
        self.a = Parameter([1.0])

    def forward(self, x):
        self.cache = x
        return x

    def backward(self, dy):
        self.a.grad += np.nan if abs(self.cache).max() > 50 else 1.0
        return dy


class Capricious(Layer):
    """y = x, but infinite in the given forward; it can't be asked again."""

    def __init__(self, when, again=None):
        self.when, self.again, self.count = when, again, [0]

    def forward(self, x):
        self.cache = x
        self.count[0] += 1
        if self.again and self.count[0] > self.when:
            raise self.again
        return x * (np.inf if self.count[0] == self.when else 1)

    def backward(self, dy):
        return dy

    def __deepcopy__(self, memory):
        copy = Capricious(self.when, self.again)
        copy.count = self.count
        return copy


class Fails(Layer):
    """A whole model whose losses are given and whose gradient is 1."""

    def __init__(self, losses):
        self.losses = list(losses)
        self.calls = Buffer(0)
        self.a = Parameter([0.0])

    def forward(self, x, y=None):
        self.cache = None
        self.calls.data += 1
        return self.losses[int(self.calls.data) - 1]

    def backward(self):
        self.a.grad += 1


def linear(i=0):
    layer = Linear(2, 2, rng=i)
    layer.W.data[...] = np.eye(2)
    return layer


def values(model):
    return {name: array.tobytes() for name, array in model.state_dict().items()}


def fit(model, train, epochs=1, lr=1e-6, **others):
    return minnet.fit(model, SGD(model.parameters(), lr), train, epochs, progress=False, **others)


def failure(model, train, epochs=1, **others):
    """What fit says of training that diverges."""
    with pytest.raises(FloatingPointError) as caught:
        fit(model, train, epochs, **others)
    assert not any("cache" in vars(layer) for layer in model.walk(Layer).values())
    assert not any(parameter.grad.any() for parameter in model.parameters())
    return str(caught.value)


def of_errors(*layers):
    return Sequential(*layers, MeanSquaredError())


GOOD, LARGE = (X, X), (100 * X, 100 * X)

FORWARD = {
    "the middle one of three": (lambda: of_errors(linear(), Grows(), linear(1)), r"layer 1, Grows\(\)"),
    "the first one": (lambda: of_errors(Grows(), linear()), r"layer 0, Grows\(\)"),
    "one beside a residual path": (
        lambda: of_errors(linear(), Residual(linear(1), Grows())),
        r"layer 1\.layers\.1, Grows\(\)",
    ),
    "one in a branch": (
        lambda: of_errors(Concatenate(linear(), Sequential(linear(1), Grows())), Linear(4, 2, rng=0)),
        r"layer 0\.branches\.1\.1, Grows\(\)",
    ),
    "one in a Sequential": (lambda: of_errors(linear(), Sequential(ReLU(), Grows())), r"layer 1\.1, Grows\(\)"),
    "one behind dropout": (
        lambda: of_errors(linear(), Dropout(0.5, rng=1), Grows(), linear(1)),
        r"layer 2, Grows\(\)",
    ),
}


@pytest.mark.rows("name", FORWARD)
def test_the_first_layer_whose_output_is_not_finite_is_named(name):
    make, place = FORWARD[name]
    model = make()
    before = values(model)
    text = failure(model, [GOOD, GOOD, LARGE], 3, lr=0.0)
    assert re.search(rf"appear in {place}, in forward", text), text
    assert "epoch 1, batch 3: the loss is" in text and "lower the learning rate, or set clip_norm" in text
    assert values(model) == before


BACKWARD = {
    "a dx": (lambda: of_errors(linear(), ReLU(), Steep(), linear(1)), r"layer 2, Steep\(\)"),
    "a parameter": (lambda: of_errors(linear(), SteepParameter(), linear(1)), r"layer 1, SteepParameter\(\)"),
    "a dx within": (lambda: of_errors(linear(), Residual(linear(1), Steep())), r"layer 1\.layers\.1, Steep\(\)"),
    "a dx behind dropout": (
        lambda: of_errors(linear(), Steep(), Dropout(0.5, rng=3), linear(1)),
        r"layer 1, Steep\(\)",
    ),
    "a parameter in the first layer": (lambda: of_errors(SteepParameter(), linear()), r"layer 0, SteepParameter\(\)"),
}


@pytest.mark.rows("name", BACKWARD)
def test_the_first_layer_whose_gradient_is_not_finite_is_named(name):
    make, place = BACKWARD[name]
    model = make()
    before = values(model)
    text = failure(model, [GOOD, LARGE], lr=0.0)
    assert "epoch 1, batch 2: the gradient is not finite" in text
    assert re.search(rf"appear in {place}, in backward, though all are in forward", text), text
    assert values(model) == before


def test_a_gradient_that_is_large_but_finite_is_no_divergence():
    class Large(Layer):
        def forward(self, x):
            self.cache = x
            return x

        def backward(self, dy):
            return dy * np.float32(1e25)

    # The square of its norm is beyond float32.
    model = Sequential(Linear(2, 3, rng=0), Large(), SoftmaxCrossEntropy())
    for settings in ({}, {"all": "raise"}):
        with np.errstate(**settings):
            assert len(fit(model, [(X, Y)], lr=1e-30)["loss"]) == 1


def test_the_masks_of_the_batch_are_drawn_again_as_they_were():
    """Infinite values in one column reach the layer after the dropout in half of all draws only."""

    class Spike(Layer):
        def __init__(self):
            self.a = Parameter([1.0])

        def forward(self, x):
            self.cache = x
            y = x.copy()
            y[0, 0] = 1e20 if x[0, 0] else 0
            return y

        def backward(self, dy):
            self.a.grad += 0
            return dy

    class Squares(Layer):
        def forward(self, x):
            self.cache = x
            return x**2

        def backward(self, dy):
            return 2 * self.cache * dy

    for mask in range(6):
        model = of_errors(linear(), Dropout(0.8, rng=mask), Spike(), Squares(), linear(1))
        before, drawn = values(model), model[1].rng.bit_generator.state
        text = failure(model, [GOOD] * 60)
        assert "layer 3, Squares(), in forward" in text and "a second time" not in text
        number = int(re.search(r"batch (\d+)", text)[1])
        # The generator stands where the batch began: the draws of those before it have been used.
        fresh = Dropout(0.8, rng=mask)
        assert fresh.rng.bit_generator.state == drawn
        for _ in range(number - 1):
            fresh.forward(np.ones((4, 2), np.float32))
        assert model[1].rng.bit_generator.state == fresh.rng.bit_generator.state
        assert (values(model) == before) == (number == 1)


def test_the_packages_generator_is_brought_back_too():
    seed(5)
    model = of_errors(linear(), Dropout(0.5), Grows(), linear(1))
    state = minnet.generator().bit_generator.state
    assert "layer 2, Grows(), in forward" in failure(model, [LARGE])
    assert minnet.generator().bit_generator.state == state


def test_parameters_buffers_and_generators_are_as_before_the_batch():
    def make():
        return of_errors(linear(), BatchNorm(2), Dropout(0.5, rng=2), Steep(), linear(1))

    batches = [GOOD, (2 * X, X)]
    reference, stopped = make(), make()
    fit(reference, batches, lr=0.01)

    # BatchNorm brings any batch to the same size, so that the steep slope is reached by what it adds.
    class Spoiled(list):
        def __iter__(self):
            yield from batches
            stopped[1].beta.data[...] += 1000
            yield GOOD

    text = failure(stopped, Spoiled(batches), lr=0.01)
    assert "epoch 1, batch 3: the gradient is not finite" in text and "layer 3, Steep()" in text
    stopped[1].beta.data[...] = reference[1].beta.data
    assert values(stopped) == values(reference)
    assert stopped[2].rng.bit_generator.state == reference[2].rng.bit_generator.state


def test_a_state_that_is_not_brought_back_would_be_seen(monkeypatch):
    """The checks above fail when what a forward changes stays changed."""
    monkeypatch.setattr("minnet.training.divergence.Guard.restore", lambda guard: None)
    model = of_errors(linear(), BatchNorm(2), Dropout(0.5, rng=2), Steep(), linear(1))
    model[1].beta.data[...] = 1000
    before, drawn = values(model), model[2].rng.bit_generator.state
    failure(model, [GOOD])
    assert values(model) != before and model[2].rng.bit_generator.state != drawn


@pytest.mark.rows("last", [[], [2.5], [2.5, 1.25]])
def test_the_last_finite_loss_is_named_if_there_was_one(last):
    text = failure(Fails([*last, np.inf]), [GOOD] * 3)
    assert f"batch {len(last) + 1}: the loss is inf" in text
    assert f"the last finite loss was {last[-1]:g};" in text if last else "last" not in text


def test_the_last_finite_loss_may_be_one_of_the_epoch_before():
    text = failure(Fails([3.0, 2.0, np.nan]), [GOOD, GOOD], 2)
    assert "epoch 2, batch 1: the loss is nan, the last finite loss was 2;" in text


def test_the_history_has_the_epochs_that_were_whole():
    history = History()
    failure(Fails([3.0, 1.0, 2.0, np.nan]), [GOOD, GOOD], 2, history=history)
    assert history["loss"] == [2.0] and len(history["seconds"]) == 1


def test_weights_that_were_spoiled_from_outside_are_named():
    model = of_errors(linear(), linear(1))
    model[1].W.data[1, 0] = np.nan
    text = failure(model, [GOOD])
    assert "layer 1, Linear(2, 2, rng=1), in forward" in text
    assert "its W holds 1 of 4 values that are not finite, the first at (1, 0)" in text


class Turns:
    """Batches that are finite in the first epoch, which is looked at, and not in the second."""

    def __init__(self, x, y):
        self.x, self.y, self.walks = x, y, 0

    def __iter__(self):
        self.walks += 1
        yield GOOD
        yield GOOD if self.walks == 1 else (self.x, self.y)


def test_data_that_are_not_finite_in_a_later_epoch_are_named():
    bad = X.copy()
    bad[2, 1] = np.nan
    text = failure(of_errors(linear()), Turns(bad, X), 3)
    assert "epoch 2, batch 2" in text and "x holds 1 of 8 values that are not finite, the first at (2, 1)" in text
    assert "y holds 1 of 8" in failure(of_errors(linear()), Turns(X, bad), 3)


@pytest.mark.parametrize("every", [None, 1, 2])
def test_the_checkpoint_is_the_last_good_one_and_can_be_taken_up(every, tmp_path):
    path = tmp_path / "run"
    model = of_errors(linear(), Grows(), linear(1))
    spoiled = Turns(100 * X, X)
    failure(model, spoiled, 3, checkpoint=path, checkpoint_every=every)
    kept = of_errors(linear(), Grows(), linear(1))
    minnet.load(kept, path)
    assert all(np.isfinite(array).all() for array in kept.state_dict().values())
    # Two batches make an epoch; the good one of the second is kept if each is.
    good = of_errors(linear(), Grows(), linear(1))
    fit(good, [GOOD] * 2)
    if every == 1:
        fit(good, [GOOD])
    assert values(kept) == values(good)
    resumed, whole = of_errors(linear(), Grows(), linear(1)), of_errors(linear(), Grows(), linear(1))
    clean = Turns(X, X)
    clean.walks = 0
    history = fit(resumed, clean, 3, checkpoint=path, checkpoint_every=every)
    assert history["loss"] == fit(whole, [GOOD] * 2, 3)["loss"]
    assert values(resumed) == values(whole)


@pytest.mark.parametrize("every", [None, 1])
def test_an_update_that_spoils_the_weights_is_found_before_the_checkpoint_is_written(every, tmp_path):
    path = tmp_path / "run"
    model = Sequential(Linear(2, 3, rng=0), SoftmaxCrossEntropy())
    rates = [0.1, 0.1, 0.1, 1e38 * 10]
    written = {}

    def keep(history):
        written["before"] = values(model)

    with pytest.raises(FloatingPointError) as caught:
        # The large rate is finite as a float, and not as a float32.
        fit(
            model,
            [(X, Y)] * 2,
            2,
            lr=lambda step: rates[min(step, 3)],
            checkpoint=path,
            checkpoint_every=every,
            on_epoch_end=keep,
        )
    assert re.search(r"epoch 2.*: after the update 0\.W holds \d of 6 values that are not finite", str(caught.value))
    assert "the last finite loss was" in str(caught.value)
    kept = Sequential(Linear(2, 3, rng=0), SoftmaxCrossEntropy())
    minnet.load(kept, path)
    assert all(np.isfinite(array).all() for array in kept.state_dict().values())
    assert (values(kept) == written["before"]) == (every is None)


def test_weights_that_are_spoiled_are_found_without_a_checkpoint_too():
    model = Sequential(Linear(2, 3, rng=0), SoftmaxCrossEntropy())
    assert "epoch 1: after the update 0.W holds" in failure(model, [(X, Y)], lr=1e39)


def test_no_warning_of_numpy_escapes_from_training_that_diverges():
    for rate in (1e3, 1e10, 1e30):
        model = of_errors(Linear(2, 8, rng=0), ReLU(), Linear(8, 2, rng=1))
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            text = failure(model, Batches(X, 100 * X, 2, shuffle=False), 200, lr=rate)
        assert seen == [] and re.match(r"fit: epoch \d+", text)


def test_no_warning_of_numpy_escapes_from_the_validation():
    class Overflows(Layer):
        def forward(self, x):
            self.cache = x
            return x if self.training else x * np.float32(1e38) * np.float32(1e38)

        def backward(self, dy):
            return dy

    history = fit(of_errors(linear(), Overflows()), [GOOD], 2, validation=[GOOD])
    assert not np.isfinite(history["val_loss"]).any() and np.isfinite(history["loss"]).all()


def test_numpys_settings_are_those_of_the_user_afterwards_and_in_a_callback():
    seen = []
    with np.errstate(over="raise", divide="warn", invalid="ignore", under="warn"):
        before = np.geterr()
        fit(of_errors(linear()), [GOOD], 2, on_epoch_end=lambda history: seen.append(np.geterr()))
        assert np.geterr() == before and seen == [before] * 2
        failure(of_errors(linear(), Grows()), [LARGE])
        assert np.geterr() == before


def test_what_was_told_to_raise_still_does_and_what_was_told_to_warn_does_not():
    with np.errstate(over="raise", invalid="print", divide="warn", under="ignore"), without_warnings():
        assert np.geterr() == {"over": "raise", "invalid": "print", "divide": "ignore", "under": "ignore"}


def test_a_user_who_wants_errors_from_numpy_gets_them():
    class Overflows(Layer):
        def __init__(self):
            self.a = Parameter([1.0])

        def forward(self, x):
            self.cache = x
            return x * np.float32(1e38) * np.float32(1e38)

        def backward(self, dy):
            return dy

    model = of_errors(linear(), Overflows())
    with np.errstate(all="raise"), pytest.raises(FloatingPointError, match="overflow encountered") as caught:
        fit(model, [GOOD])
    assert caught.value.__notes__[-1] == "fit: this was in epoch 1, batch 1"
    assert "the loss is" in failure(model, [GOOD])


def test_training_that_converges_is_left_in_peace_by_a_user_who_wants_errors():
    model = Sequential(
        Linear(2, 8, rng=0), BatchNorm(8), ReLU(), Dropout(0.2, rng=1), Linear(8, 3, rng=2), SoftmaxCrossEntropy()
    )
    with np.errstate(all="raise", under="ignore"):
        losses = fit(model, [(X, Y)], 30, lr=0.1)["loss"]
    assert losses[-1] < losses[0]


@pytest.mark.rows("again", [None, KeyError("gone"), RuntimeError("used up")])
def test_a_model_that_cannot_be_asked_again_still_tells_of_its_divergence(again):
    model = of_errors(linear(), Capricious(3, again), linear(1))
    text = failure(model, [GOOD] * 4, lr=0.0)
    assert "epoch 1, batch 3: the loss is inf" in text or "epoch 1, batch 3: the loss is nan" in text
    assert (repr(again) in text) if again else ("a second time, on a copy, all was finite" in text)


def test_a_model_that_cannot_be_copied_still_tells_of_its_divergence():
    model = of_errors(linear(), Grows())
    model[1].lock = (value for value in ())  # no generator can be copied
    assert "the loss is" in failure(model, [LARGE])


def test_a_model_of_ones_own_is_named_itself():
    assert "Fails([inf]), in forward" in failure(Fails([np.inf]), [GOOD])


def test_sample_weights_take_part_when_the_batch_is_gone_through_again():
    model = Sequential(Linear(2, 3, rng=0), SoftmaxCrossEntropy())
    model[0].b.data[...] = [0, 0, np.inf]
    text = failure(model, [(X, Y, np.ones(4))])
    assert "layer 0, Linear(2, 3, rng=0), in forward" in text and "its b holds 1 of 3" in text

    class Weighed(Fails):
        def forward(self, x, y=None, sample_weight=None):
            return super().forward(x, y) if sample_weight is None else np.inf

    assert "Weighed([]), in forward" in failure(Weighed([]), [(X, Y, np.ones(4))])


def test_a_moment_of_the_optimizer_that_overflows_is_found_before_it_comes_into_a_file(tmp_path):
    """The square of a gradient of 1e20 is infinite in float32, and Adam would never move that parameter again."""

    class Steep(Layer):
        def __init__(self):
            self.a = Parameter([1.0])

        def forward(self, x, y=None):
            self.cache = None
            return 1.0

        def backward(self):
            self.a.grad += 1e20

    model = Steep()
    optimizer = minnet.Adam(model.parameters(), lr=0.1)
    with pytest.raises(FloatingPointError, match=r"epoch 1: after the update v of Adam holds 1 of 1 values"):
        minnet.fit(model, optimizer, [(X, Y)], 2, checkpoint=tmp_path / "run")
    assert not (tmp_path / "run").exists()
