"""The updates of a run: one optimizer or several, a step for one batch or for several, and no gradient left over."""

import numpy as np
import pytest

import minnet
from minnet import (
    SGD,
    Adam,
    Batches,
    BatchNorm,
    History,
    Layer,
    Linear,
    MeanSquaredError,
    Parameter,
    ReLU,
    Sequential,
    SoftmaxCrossEntropy,
    step_decay,
)
from minnet.training.updates import Updates

X = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
Y = np.arange(12) % 2


def network():
    return Sequential(Linear(3, 4, rng=0), ReLU(), Linear(4, 2, rng=1), SoftmaxCrossEntropy())


def rows(n=12, size=2):
    return Batches(X[:n], Y[:n], size, shuffle=False)


def values(model):
    return {name: array.tobytes() for name, array in model.state_dict().items()}


class Gain(Layer):
    """y = g x with a single number g, whose gradient is assigned, as NumPy's numbers make it natural."""

    def __init__(self):
        self.g = Parameter(1.0)

    def forward(self, x):
        self.cache = x
        return x * self.g.data

    def backward(self, dy):
        self.g.grad = self.g.grad + (dy * self.cache).sum()
        return dy * self.g.data


def test_two_optimizers_with_the_same_numbers_do_what_one_does():
    one, two = network(), network()
    minnet.fit(one, SGD(one.parameters(), 0.1, momentum=0.9), rows(), 3)
    optimizers = [SGD(part.parameters(), 0.1, momentum=0.9) for part in (two[0], two[2])]
    minnet.fit(two, optimizers, rows(), 3)
    assert values(one) == values(two) and [each.steps for each in optimizers] == [18, 18]


def test_each_optimizer_moves_its_own_part_by_its_own_rate():
    model, before = network(), network()
    still, moving = SGD(model[0].parameters(), lr=0.0), Adam(model[2].parameters(), lr=0.1)
    history = minnet.fit(model, (still, moving), rows(), 2)
    assert np.array_equal(model[0].W.data, before[0].W.data)
    assert not np.allclose(model[2].W.data, before[2].W.data, atol=0.05)
    assert list(history) == ["loss", "accuracy", "lr", "lr_1", "seconds"]
    assert history["lr"] == [0.0, 0.0] and history["lr_1"] == [0.1, 0.1]


def test_the_history_has_the_rate_of_each_epochs_last_step():
    model = network()
    history = minnet.fit(model, SGD(model.parameters(), step_decay(0.4, every=6, factor=0.5)), rows(), 3)
    assert history["lr"] == [0.4, 0.2, 0.1]


@pytest.mark.parametrize("accumulate", [1, 2, 3, 4, 6, 9])
def test_a_step_for_several_batches_takes_the_mean_of_their_gradients(accumulate):
    """The batches are of one size, so that it is the gradient of all their rows together."""
    gathered, whole = network().astype(np.float64), network().astype(np.float64)
    optimizer = SGD(gathered.parameters(), 0.5, momentum=0.9)
    minnet.fit(gathered, optimizer, rows(), 3, accumulate=accumulate)
    minnet.fit(whole, SGD(whole.parameters(), 0.5, momentum=0.9), rows(size=min(2 * accumulate, 12)), 3)
    for one, other in zip(gathered.parameters(), whole.parameters()):
        np.testing.assert_allclose(one.data, other.data, rtol=1e-10)
    assert optimizer.steps == 3 * -(-6 // accumulate)


def test_the_last_group_of_an_epoch_is_a_step_by_itself():
    """Of five batches two are left after a step for three, and none is carried into the next epoch."""
    gathered, looped = network(), network()
    minnet.fit(gathered, SGD(gathered.parameters(), 0.1), rows(10), 2, accumulate=3)
    batches, optimizer = list(rows(10)), SGD(looped.parameters(), 0.1)
    for group in (batches[:3], batches[3:]) * 2:
        for x, y in group:
            looped(x, y)
            looped.backward()
        for parameter in looped.parameters():
            parameter.grad *= 1 / len(group)
        optimizer.step()
    assert values(gathered) == values(looped)


def test_a_schedule_counts_steps_and_not_batches():
    model = network()
    history = minnet.fit(model, SGD(model.parameters(), lambda step: 1.0 / (1 + step)), rows(), 2, accumulate=3)
    assert history["lr"] == [1 / 2, 1 / 4]


def test_a_group_in_which_a_batch_diverges_is_not_applied():
    model = network()
    spoiled = X.copy()
    spoiled[6:8] = 3e38
    history = History()
    before = values(model)
    with pytest.raises(FloatingPointError, match=r"epoch 1, batch 4: .*layer 0, Linear\(3, 4, rng=0\), in forward"):
        minnet.fit(
            model,
            SGD(model.parameters(), 0.1),
            Batches(spoiled, Y, 2, shuffle=False),
            1,
            accumulate=6,
            history=history,
        )
    assert values(model) == before and history == {}
    assert not any(parameter.grad.any() for parameter in model.parameters())


def test_a_gradient_that_is_a_single_number_is_scaled_and_applied_too():
    model = Sequential(Gain(), MeanSquaredError())
    x = np.ones((2, 1), np.float32)
    minnet.fit(model, SGD(model.parameters(), 0.1), [(x, 2 * x)] * 2, 1, accumulate=2)
    assert float(model[0].g.data) == pytest.approx(1.2)  # the slope of (g - 2)² at 1 is -2, in both batches


class Watched(SGD):
    """Keeps, at each step, the gradient of a parameter that it does not hold."""

    def __init__(self, parameters, lr, other):
        super().__init__(parameters, lr)
        self.other, self.found = other, []

    def step(self):
        super().step()
        self.found.append(float(abs(self.other.grad).max()))


@pytest.mark.parametrize("accumulate", [1, 2])
def test_the_gradient_of_what_no_optimizer_holds_does_not_pile_up(accumulate):
    model = Sequential(Gain(), Linear(3, 2, rng=0), SoftmaxCrossEntropy())
    left = []
    minnet.fit(
        model,
        SGD(model[1].parameters(), 0.1),
        rows(),
        3,
        accumulate=accumulate,
        on_epoch_end=lambda history: left.append(float(model[0].g.grad)),
    )
    assert left == [0.0] * 3 and model[0].g.grad == 0
    assert model[0].g.data == 1 and isinstance(model[0].g.grad, np.ndarray)


def test_it_is_of_one_batch_when_it_is_looked_at():
    """Without the clearing it would be the sum over all batches so far."""
    model = Sequential(Linear(3, 3, rng=2), Linear(3, 2, rng=0), SoftmaxCrossEntropy())
    optimizer = Watched(model[1].parameters(), 0.0, model[0].W)
    minnet.fit(model, optimizer, [(X, Y)] * 4, 2)
    assert optimizer.found[0] > 0 and optimizer.found == [optimizer.found[0]] * 8


def test_a_new_optimizer_begins_without_what_was_left_of_a_part_that_stood_still():
    fitted = Sequential(Linear(3, 3, rng=2), Linear(3, 2, rng=0), SoftmaxCrossEntropy())
    fitted(X, Y)
    fitted.backward()
    minnet.fit(fitted, SGD(fitted[1].parameters(), 0.1), rows(), 2)
    assert not any(parameter.grad.any() for parameter in fitted.parameters())


def test_where_every_parameter_is_held_nothing_is_looked_through_after_a_batch():
    model = network()
    assert Updates(model, [SGD(model.parameters(), 0.1)]).others == []
    held = SGD(model[2].parameters(), 0.1)
    assert Updates(model, [held]).others == [model[0].W, model[0].b]
    model[0].W.frozen = True
    assert Updates(model, [held]).others == [model[0].b], "a frozen one has no gradient, and may be large"


def test_running_statistics_and_masks_are_those_of_every_batch():
    model = Sequential(Linear(3, 4, rng=0), BatchNorm(4), Linear(4, 2, rng=1), SoftmaxCrossEntropy())
    one_by_one = Sequential(Linear(3, 4, rng=0), BatchNorm(4), Linear(4, 2, rng=1), SoftmaxCrossEntropy())
    minnet.fit(model, SGD(model.parameters(), 0.0), rows(size=4), 1, accumulate=3)
    minnet.fit(one_by_one, SGD(one_by_one.parameters(), 0.0), rows(size=4), 1)
    assert np.array_equal(model[1].running_mean.data, one_by_one[1].running_mean.data)


def test_the_mean_of_what_waits_is_one_step_and_nothing_waiting_is_none():
    model = network()
    optimizer = SGD(model.parameters(), 0.1)
    updates = Updates(model, [optimizer], accumulate=3)
    updates.step()
    assert optimizer.steps == 0 and updates.last_lr() == {}
    for _ in range(4):
        updates.add_batch()
    assert (optimizer.steps, updates.waiting) == (1, 1)
    updates.step()
    assert (optimizer.steps, updates.waiting) == (2, 0) and updates.last_lr() == {"lr": 0.1}


@pytest.mark.parametrize("bad", [0, 1])
def test_the_gradient_of_every_optimizer_must_be_finite(bad):
    model = network()
    optimizers = [SGD(model[0].parameters(), 0.1), SGD(model[2].parameters(), 0.1)]
    updates = Updates(model, optimizers)
    assert updates.gradient_is_finite()
    model[2 * bad].W.grad[0, 0] = np.inf
    assert not updates.gradient_is_finite()


def test_a_step_of_ones_own_that_leaves_gradients_is_told_after_the_first():
    class Piles(SGD):
        def step(self):
            for p in self.parameters:
                p.data -= self.lr * p.grad
            self.steps += 1

    model = Sequential(Linear(2, 2, rng=0), SoftmaxCrossEntropy())
    with pytest.raises(RuntimeError, match=r"Piles: step left gradients.*end it with self\.zero_grad\(\)"):
        minnet.fit(model, Piles(model.parameters(), 0.1), [(np.ones((2, 2)), [0, 1])], 2, progress=False)
