"""Which generators a checkpoint holds, and that their states pass through a file."""

import json

import numpy as np
import pytest

import minnet
from minnet import SGD, Batches, Dropout, Linear, Sequential, SoftmaxCrossEntropy
from minnet.training.checkpoint import Checkpoint
from minnet.training.generators import Generators
from minnet.training.run import Run

X = np.random.default_rng(0).normal(size=(10, 3)).astype(np.float32)
Y = np.arange(10) % 2


def parts(rng=1):
    """A model, and an optimizer of it."""
    model = Sequential(Linear(3, 2, rng=0), Dropout(0.5, rng=rng), SoftmaxCrossEntropy())
    return model, SGD(model.parameters(), lr=0.1, momentum=0.9)


def rows(rng=3, **options):
    return Batches(X, Y, 4, rng=rng, **options)


def new_checkpoint(train, path, validation=None, rng=1):
    model, optimizer = parts(rng)
    return Checkpoint(Run(model=model, optimizer=optimizer, train=train, epochs=3, validation=validation), path)


class Noise:
    """A transform with a generator of its own."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed) if isinstance(seed, int) else seed

    def __call__(self, x, rng):
        return x + self.rng.normal(0, 0.1, x.shape)


class Loader:
    """Data of the user's own, with what it draws from in lists, tuples, dicts and objects."""

    def __init__(self):
        self.inner = rows(transform=Noise(4))
        self.several = [(np.random.default_rng(5), {"deep": np.random.default_rng(6)})]

    def __iter__(self):
        return iter(self.inner)


def test_generators_are_found_in_the_model_and_in_data_each_once(tmp_path):
    shared = np.random.default_rng(9)
    validation = rows(shared, transform=Noise(7), extra=(np.ones(10),))
    validation.again = shared
    found = new_checkpoint(Loader(), tmp_path / "run", validation).generators.by_name
    assert list(found) == [
        "package",
        "model.1.rng",
        "train.inner.transform.rng",
        "train.inner.rng",
        "train.several.0.0",
        "train.several.0.1.deep",
        "validation.transform.rng",
        "validation.rng",
    ]
    assert found["package"] is minnet.generator()
    assert found["validation.rng"] is shared


def test_a_generator_of_the_optimizer_is_found(tmp_path):
    model, optimizer = parts()
    optimizer.rng = np.random.default_rng(4)
    found = Checkpoint(Run(model=model, optimizer=optimizer, train=rows(), epochs=3), tmp_path / "run").generators
    assert found.by_name["optimizer.rng"] is optimizer.rng


def test_a_generator_that_several_share_is_there_once(tmp_path):
    shared = np.random.default_rng(0)
    train = rows(shared)
    assert list(new_checkpoint(train, tmp_path, train, rng=shared).generators.by_name) == ["package", "model.1.rng"]
    assert list(new_checkpoint(rows(None), tmp_path, rng=None).generators.by_name) == ["package"]


def test_data_that_refer_to_themselves_are_looked_through_in_finite_time(tmp_path):
    loader = Loader()
    loader.me, loader.all = loader, [loader, loader]
    found = new_checkpoint(loader, tmp_path / "run").generators.by_name
    assert len({id(drawn) for drawn in found.values()}) == len(found) == 6


def test_looking_for_generators_does_not_walk_the_data(tmp_path):
    class Walked(list):
        def __iter__(self):
            raise AssertionError("it was walked")

    found = new_checkpoint(Walked([(X, Y)]), tmp_path / "run").generators.by_name
    assert list(found) == ["package", "model.1.rng"]


@pytest.mark.parametrize("kind", ["PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64"])
def test_the_states_of_all_kinds_of_generators_pass_through_a_text(kind, tmp_path):
    drawn = np.random.Generator(getattr(np.random, kind)(0))
    generators = Generators(train=rows(drawn))
    drawn.integers(9, dtype=np.uint32)
    states = json.loads(json.dumps(generators.states()))
    following = drawn.integers(2**32, size=700, dtype=np.uint32), drawn.normal(size=700)
    generators.set_states(states)
    again = drawn.integers(2**32, size=700, dtype=np.uint32), drawn.normal(size=700)
    assert all(np.array_equal(a, b) for a, b in zip(following, again))
