"""Epochs of a given number of batches: where each goes on, and what a run that resumes finds again."""

import itertools
import re

import numpy as np
import pytest

import minnet
from minnet import SGD, Batches, Dropout, Linear, Sequential, SoftmaxCrossEntropy

X = np.random.default_rng(0).normal(size=(10, 3)).astype(np.float32)
Y = np.arange(10) % 2


def network():
    return Sequential(Linear(3, 4, rng=0), Dropout(0.25, rng=np.random.default_rng(1)), Linear(4, 2, rng=2), Loss())


class Loss(SoftmaxCrossEntropy):
    """One that keeps the targets that it was given, by which a batch is known."""

    seen = ()

    def forward(self, scores, target=None, sample_weight=None):
        self.seen = (*self.seen, target.tolist())
        return super().forward(scores, target, sample_weight)


def numbered_batches():
    """Batches without an end; the targets of the n-th are the digits of n in base 2."""
    for n in itertools.count():
        yield X[:4], np.array([n >> bit & 1 for bit in range(4)])


class Endless:
    """Data without an end that can be read again."""

    def __init__(self, rng=3):
        self.rng = np.random.default_rng(rng)

    def __iter__(self):
        while True:
            rows = self.rng.integers(0, 10, 4)
            yield X[rows], Y[rows]


def fit(train, epochs, steps, model=None, **options):
    model = model or network()
    history = minnet.fit(model, SGD(model.parameters(), 0.1), train, epochs, steps_per_epoch=steps, **options)
    return model, history


def numbers(model):
    return [sum(bit << place for place, bit in enumerate(target)) for target in model[-1].seen]


def values(model):
    return {name: array.tobytes() for name, array in model.state_dict().items()}


def test_an_iterator_goes_on_where_the_last_epoch_ended_and_so_does_the_next_training():
    data = numbered_batches()
    model, history = fit(data, 3, 4)
    assert numbers(model) == list(range(12)) and len(history["loss"]) == 3
    fit(data, 1, 2, model)
    assert numbers(model) == list(range(14)), "and none is lost between two epochs or trainings"


def test_data_that_end_begin_anew_within_an_epoch():
    data = [batch for batch, _ in zip(numbered_batches(), range(3))]
    model, _ = fit(data, 2, 4)
    assert numbers(model) == [0, 1, 2, 0, 1, 2, 0, 1]


def test_each_walk_through_batches_has_an_order_of_its_own():
    model, _ = fit(Batches(X, np.arange(10) % 2, 5, rng=3), 3, 2)
    orders = [model[-1].seen[i : i + 2] for i in (0, 2, 4)]
    plain = network()
    minnet.fit(plain, SGD(plain.parameters(), 0.1), Batches(X, np.arange(10) % 2, 5, rng=3), 3)
    assert list(model[-1].seen) == list(plain[-1].seen) and orders[0] != orders[1]
    assert values(model) == values(plain), "epochs of the length of the data are epochs as they always were"


def test_an_iterator_that_ends_too_early_is_told_with_what_it_gave():
    data = itertools.islice(numbered_batches(), 7)
    with pytest.raises(ValueError, match="steps_per_epoch=4 batches for each epoch, got 3 for epoch 2"):
        fit(data, 3, 4)


def test_data_without_a_batch_are_told_and_not_waited_for():
    class Nothing:
        def __iter__(self):
            return iter(())

    with pytest.raises(ValueError, match="steps_per_epoch=2 batches for each epoch, got 0 for epoch 1"):
        fit(Nothing(), 1, 2)


def test_an_iterator_without_steps_per_epoch_is_told_of_it():
    with pytest.raises(TypeError, match="make it a list, or give steps_per_epoch"):
        fit(numbered_batches(), 1, None)
    with pytest.raises(TypeError, match=r"make it a list$"):
        fit(numbered_batches(), 1, 2, validation=numbered_batches())


def test_an_iterator_is_refused_where_a_checkpoint_would_have_to_read_it_again(tmp_path):
    with pytest.raises(ValueError, match=r"expected train that can be read again, .* got a generator"):
        fit(numbered_batches(), 1, 2, checkpoint=tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def stopped_after(n):
    """A callback that is Ctrl-C in the n-th batch."""
    left = itertools.count(1)

    def on_batch_end(at):
        if next(left) == n:
            raise KeyboardInterrupt

    return on_batch_end


DATA = {
    "data without an end": Endless,
    "batches that are shuffled": lambda: Batches(X, Y, 3, rng=np.random.default_rng(5)),
    "a list": lambda: [batch for batch, _ in zip(numbered_batches(), range(5))],
}


@pytest.mark.parametrize("make", DATA.values(), ids=DATA)
@pytest.mark.parametrize("at", range(1, 10))
def test_a_run_that_is_stopped_anywhere_goes_on_to_the_same_bytes(make, at, tmp_path):
    """Epochs of three batches: they end within a walk through the data, and a walk within them."""
    whole, history = fit(make(), 3, 3)
    options = {"checkpoint": tmp_path / "run", "checkpoint_every": 1}
    with pytest.raises(KeyboardInterrupt):
        fit(make(), 3, 3, on_batch_end=stopped_after(at), **options)
    resumed, again = fit(make(), 3, 3, **options)
    assert values(resumed) == values(whole) and again["loss"] == history["loss"]


@pytest.mark.parametrize("make", DATA.values(), ids=DATA)
def test_a_run_of_more_epochs_goes_on_behind_the_last_one(make, tmp_path):
    whole, history = fit(make(), 5, 3)
    fit(make(), 2, 3, checkpoint=tmp_path / "run")
    resumed, again = fit(make(), 5, 3, checkpoint=tmp_path / "run")
    assert values(resumed) == values(whole) and again["loss"] == history["loss"]


@pytest.mark.parametrize("other", [None, 2])
def test_epochs_of_another_length_are_another_run(other, tmp_path):
    fit(DATA["a list"](), 1, 3, checkpoint=tmp_path / "run")
    with pytest.raises(minnet.CheckpointError, match=f"batches of an epoch: {other or 'nothing'} here, 3 in the file"):
        fit(DATA["a list"](), 1, other, checkpoint=tmp_path / "run")


def test_groups_of_batches_end_with_their_epoch():
    told = []
    model, optimizer = network(), None
    optimizer = SGD(model.parameters(), lambda step: 1.0 / (1 + step))
    data = numbered_batches()
    minnet.fit(model, optimizer, data, 2, steps_per_epoch=5, accumulate=2, on_batch_end=lambda at: told.append(at.lr))
    rates = [1, 1, 1 / 2, 1 / 2, 1 / 3]
    assert optimizer.steps == 6 and told == pytest.approx([*rates, 1 / 4, 1 / 4, 1 / 5, 1 / 5, 1 / 6])


def test_the_bar_for_batches_shows_how_many_there_will_be(monkeypatch, capsys):
    totals = []
    monkeypatch.setattr(
        "minnet.training.progress.Progress.walk",
        lambda self, batches, total, *rest, **others: totals.append(total) or batches,
    )
    fit(Endless(), 2, 7)
    fit(Batches(X, Y, 3), 1, 7)
    fit(Batches(X, Y, 3), 1, None)
    assert totals == [7, 7, 7, 4]


@pytest.mark.parametrize("bad", [0, 1.5, True])
def test_a_number_of_steps_that_can_not_be_is_refused(bad):
    with pytest.raises((TypeError, ValueError), match=re.escape("fit: expected steps_per_epoch to be a")):
        fit(Endless(), 1, bad)
