"""What the accuracy counts and how batches are weighed, in models of all kinds."""

import numpy as np
import pytest

from minnet import (
    SGD,
    Batches,
    BinaryCrossEntropy,
    Layer,
    Linear,
    Loss,
    MeanSquaredError,
    MulticlassHinge,
    Sequential,
    SoftmaxCrossEntropy,
    evaluate,
    fit,
)
from minnet.training.tally import Judge, Tally

RNG = np.random.default_rng(0)
N, T = 23, 4
X = RNG.normal(size=(N, T, 4)).astype(np.float32)
LABELS = RNG.integers(0, 3, (N, T))
PADDED = np.where(np.arange(T) < RNG.integers(1, T + 1, N)[:, None], LABELS, -1)
ROWS = RNG.random(N).astype(np.float32)
PLACES = RNG.random((N, T)).astype(np.float32)


class Own(Layer):
    """A model that Sequential can't express, as its author writes it: nothing is delegated."""

    def __init__(self, loss, outputs=3):
        self.body, self.loss = Linear(4, outputs, rng=0), loss

    def forward(self, x, y=None, weight=None):
        z = self.body(x)
        return self.loss(z) if y is None else self.loss(z, y, weight)

    def backward(self):
        self.body.backward(self.loss.backward())


class Inside(Own):
    """The loss is deeper down, in a Sequential."""

    def __init__(self, loss, outputs=3):
        self.whole = Sequential(Linear(4, outputs, rng=0), loss)

    def forward(self, *batch):
        return self.whole(*batch)

    def backward(self):
        self.whole.backward()


CASES = {
    "plain": (SoftmaxCrossEntropy, LABELS, ()),
    "ignored labels": (lambda: SoftmaxCrossEntropy(ignore_index=-1), PADDED, ()),
    "class weights": (lambda: SoftmaxCrossEntropy([1, 5, 20], ignore_index=-1), PADDED, ()),
    "a weight for each sample": (lambda: SoftmaxCrossEntropy(ignore_index=-1), PADDED, (ROWS,)),
    "a weight for each place": (SoftmaxCrossEntropy, LABELS, (PLACES,)),
    "hinge": (MulticlassHinge, LABELS, (ROWS,)),
    "yes or no": (lambda: BinaryCrossEntropy(2.0), np.eye(3)[LABELS], (PLACES,)),
    "squares": (MeanSquaredError, np.eye(3)[LABELS], (ROWS,)),
}


@pytest.mark.parametrize("kind", [Own, Inside])
@pytest.mark.parametrize("case", CASES)
def test_a_model_of_ones_own_is_evaluated_as_a_sequential_is(case, kind):
    make, y, extra = CASES[case]
    whole = evaluate(Sequential(Linear(4, 3, rng=0), make()), [(X, y, *extra)])
    for size in (1, 7, N):
        got = evaluate(kind(make()), Batches(X, y, size, shuffle=False, extra=extra))
        assert got.keys() == whole.keys()
        assert got == {name: pytest.approx(value, rel=1e-5) for name, value in whole.items()}


@pytest.mark.parametrize("case", CASES)
def test_fit_counts_in_a_model_of_ones_own_what_it_counts_in_a_sequential(case):
    make, y, extra = CASES[case]
    histories = []
    for model in (Sequential(Linear(4, 3, rng=0), make()), Own(make())):
        data = Batches(X, y, 6, rng=0, extra=extra)
        histories.append(fit(model, SGD(model.parameters(), 0.1), data, 2, [(X, y, *extra)], progress=False))
    sequential, own = histories
    assert own.keys() == sequential.keys()
    for name in own.keys() - {"seconds"}:
        assert own[name] == pytest.approx(sequential[name], rel=1e-5)


@pytest.mark.parametrize("make", [SoftmaxCrossEntropy, MulticlassHinge], ids=["softmax", "hinge"])
@pytest.mark.parametrize("kind", [lambda loss: Sequential(loss), lambda loss: loss], ids=["Sequential", "loss"])
def test_a_sample_of_weight_zero_counts_neither_in_the_loss_nor_in_the_accuracy(kind, make):
    scores, y, weight = np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([0, 1]), np.array([1.0, 0.0])
    got = evaluate(kind(make()), [(scores, y, weight)])
    assert got == evaluate(kind(make()), [(scores[:1], y[:1])]) and got["accuracy"] == 1.0


def test_accuracy_is_weighed_by_samples_over_all_batches():
    scores, y, weight = np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]]), np.array([0, 1, 0]), np.array([1.0, 6.0, 3.0])
    assert evaluate(SoftmaxCrossEntropy(), Batches(scores, y, 1, extra=(weight,)))["accuracy"] == 0.4


def test_fit_counts_what_counts_in_the_loss():
    x, y = np.eye(2, dtype=np.float32)[[0, 0, 0, 0]], np.array([0, 0, 1, 1])
    weight = np.array([1.0, 1.0, 0.0, 0.0], np.float32)
    model = Sequential(Linear(2, 2, rng=0), SoftmaxCrossEntropy())
    history = fit(model, SGD(model.parameters(), 1.0), [(x, y, weight)], 5, [(x, y, weight)], progress=False)
    assert history["val_accuracy"][-1] == history["accuracy"][-1] == 1.0


class Penalized(Loss):
    """A loss around another, as a model, at the end of one, or inside of one."""

    def __init__(self, loss):
        self.loss = loss

    def forward(self, scores, target=None, weight=None):
        return self.loss(scores) if target is None else self.loss(scores, target, weight) + 0.5

    def backward(self, dloss=1.0):
        return self.loss.backward(dloss)


@pytest.mark.parametrize(
    "kind",
    [
        lambda loss: Sequential(Linear(4, 3, rng=0), Penalized(loss)),
        lambda loss: Sequential(Linear(4, 3, rng=0), Sequential(Penalized(loss))),
        lambda loss: Own(Penalized(loss)),
        lambda loss: Inside(Penalized(loss)),
    ],
)
def test_of_losses_that_hold_each_other_the_inner_one_is_asked(kind):
    make, y, extra = CASES["a weight for each sample"]
    plain = evaluate(Sequential(Linear(4, 3, rng=0), make()), [(X, y, *extra)])
    for size in (1, 7, N):
        got = evaluate(kind(make()), Batches(X, y, size, shuffle=False, extra=extra))
        expected = {"loss": plain["loss"] + 0.5, "accuracy": plain["accuracy"]}
        assert got == {name: pytest.approx(value, rel=1e-5) for name, value in expected.items()}


class TwoHeads(Layer):
    def __init__(self):
        self.body, self.first, self.second = Linear(4, 3, rng=0), SoftmaxCrossEntropy(), SoftmaxCrossEntropy()

    def forward(self, x, y=None):
        z = self.body(x)
        return self.first(z) if y is None else self.first(z, y) + self.second(z, y)


class NoLoss(Layer):
    def __init__(self):
        self.body = Linear(4, 3, rng=0)

    def forward(self, x, y=None):
        z = self.body(x)
        return z if y is None else float((z**2).mean())


@pytest.mark.rows("kind", [TwoHeads, NoLoss])
def test_a_model_of_no_loss_or_of_several_is_weighed_by_rows(kind):
    judge = Judge(kind())
    judge.model(X, LABELS)
    assert judge.weight(N) == N and judge.correct() is None


def test_a_loss_that_the_model_has_not_called_is_not_asked():
    class Sometimes(Own):
        def forward(self, x, y=None, weight=None):
            return super().forward(x, y, weight) if len(x) > 2 else 0.5

    model = Sometimes(SoftmaxCrossEntropy())
    got = evaluate(model, [(X[:5], LABELS[:5]), (X[:2], LABELS[:2])])
    alone = evaluate(model, [(X[:5], LABELS[:5])])
    assert got["accuracy"] == alone["accuracy"]
    assert got["loss"] == pytest.approx((20 * alone["loss"] + 2 * 0.5) / 22)


def test_what_a_model_says_itself_comes_first():
    class Says(Own):
        def count_correct(self):
            return 1, 4

        def total_weight(self):
            return 8.0

    judge = Judge(Says(SoftmaxCrossEntropy()))
    judge.model(X, LABELS)
    assert judge.correct() == (1, 4) and judge.weight(N) == 8.0


def test_a_tally_adds_up_and_has_no_accuracy_of_nothing():
    tally = Tally()
    tally.add(None)
    tally.add((0, 0))
    assert tally.accuracy() == {}
    tally.add((1, 2))
    tally.add((0.5, 0.5))
    assert tally.accuracy() == {"accuracy": 0.6}


def test_a_tally_of_numpys_float32_is_exact():
    tally = Tally()
    for right in (2.0**24, 1.0):  # of which float32 makes 2**24
        tally.add((np.float32(right), np.float32(right)))
    assert [float(tally.right), float(tally.counted)] == [2**24 + 1, 2**24 + 1]
