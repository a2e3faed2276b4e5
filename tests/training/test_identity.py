"""What tells a run from another: the same script has the same identity, and a change is told in a sentence."""

import json

import numpy as np
import pytest

from minnet import SGD, Adam, Batches, Dropout, Linear, ReLU, Sequential, SoftmaxCrossEntropy, cosine_decay
from minnet.optimizers.optimizer import numbers_of
from minnet.training.generators import Generators
from minnet.training.identity import changes, completed, differences, identity_of, plain_numbers
from minnet.training.run import Run
from minnet.training.updates import Updates

X, Y = np.ones((6, 4), np.float32), np.zeros(6, int)


def run_of(between=ReLU, optimizer=lambda p: SGD(p, lr=cosine_decay(0.1, 20), momentum=0.9), rows=6, **others):
    model = Sequential(Linear(4, 3, rng=0), between(), Linear(3, 2, rng=0), SoftmaxCrossEntropy())
    optimizers = [optimizer(model.parameters())]
    return Run(model, Updates(model, optimizers), Batches(X[:rows], Y[:rows], 2, rng=1), 3, **others)


def identity(run):
    return identity_of(run, Generators(model=run.model, train=run.train))


def told(run, other):
    """Where a run is not the one whose identity a file has, in sentences."""
    notes = json.loads(
        json.dumps({"belongs to": identity(other), "numbers": plain_numbers(other.updates.optimizers[0])})
    )
    return list(differences(run, Generators(model=run.model, train=run.train), identity(run), notes))


def test_the_same_script_has_the_same_identity_also_through_a_file():
    assert identity(run_of()) == identity(run_of()) == json.loads(json.dumps(identity(run_of())))
    assert told(run_of(), run_of()) == []


def test_an_identity_does_not_depend_on_how_far_the_run_has_come():
    run, before = run_of(), identity(run_of())
    run.model.parameters()[0].data += 1
    run.updates.optimizers[0].step()
    run.position.epoch, run.position.batch = 2, 1
    assert identity(run) == before


OTHERS = {
    "another layer": (run_of(between=lambda: Dropout(0.5, rng=0)), ["the model:", "the generators:"]),
    "another optimizer": (run_of(optimizer=lambda p: Adam(p, lr=cosine_decay(0.1, 20))), ["the optimizer: SGD here"]),
    "a number for a schedule": (run_of(optimizer=lambda p: SGD(p, 0.1, 0.9)), ["its learning rate: a schedule here"]),
    "another momentum": (
        run_of(optimizer=lambda p: SGD(p, cosine_decay(0.1, 20), 0.8)),
        ["its numbers: momentum=0.9 here, momentum=0.8 in the file"],
    ),
    "fewer parameters": (run_of(optimizer=lambda p: SGD(p[:3], cosine_decay(0.1, 20), 0.9)), ["its parameters:"]),
    "fewer samples": (run_of(rows=4), ["train: 6 samples of (4,) in batches of 2, shuffle=True here, 4 samples"]),
    "a metric": (run_of(metrics={"f1": max}), ["the metrics: nothing here, f1 in the file"]),
}


@pytest.mark.rows(("other", "texts"), OTHERS.values(), ids=OTHERS)
def test_every_difference_is_told_with_what_is_here_and_what_is_in_the_file(other, texts):
    found = told(run_of(), other)
    assert all(any(sentence.startswith(text) for sentence in found) for text in texts), found


def test_numbers_that_a_callback_of_that_run_has_set_are_no_difference_for_who_has_set_them_too():
    other = run_of()
    notes = {"belongs to": identity(other)}
    other.updates.optimizers[0].momentum = 0.5
    notes["numbers"] = plain_numbers(other.updates.optimizers[0])
    assert list(differences(other, Generators(model=other.model, train=other.train), identity(other), notes)) == []


def test_an_identity_of_another_version_is_told_as_such_and_one_without_rates_is_completed():
    run = run_of()
    old = identity(run)
    del old["its learning rate"]
    old["the optimizer"] = "SGD, lr=<lambda>(0.1)"
    assert completed(old, identity(run)) == identity(run)
    del old["the arrays"]
    generators = Generators(model=run.model, train=run.train)
    assert list(differences(run, generators, identity(run), {"belongs to": old})) == [
        "it was written by another version of minnet"
    ]


def test_what_a_callback_may_set_is_no_change_and_what_a_file_can_not_give_back_is_one():
    run, before = run_of(), identity(run_of())
    run.updates.optimizers[0].momentum = 0.1
    assert changes(run, before, identity(run)) == []
    run.train.batch_size, run.model[0].W.decay = 3, False
    size, decay = changes(run, before, identity(run))
    assert "0.W became 0.W, not decayed" in size and "batches of 2" in decay and "batches of 3" in decay


def test_the_numbers_of_an_optimizer_are_its_attributes_but_for_steps_and_what_is_no_number():
    _, optimizer = run_of(), Adam(Linear(2, 2).parameters(), lr=0.5)
    optimizer.note, optimizer.extra, optimizer.several = "x", np.float32(2), [1, 2]
    assert numbers_of(optimizer)["extra"] == 2 and not {"steps", "note", "several"} & plain_numbers(optimizer).keys()
    assert json.loads(json.dumps(plain_numbers(optimizer)))["lr"] == 0.5
