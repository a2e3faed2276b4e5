import numpy as np
import pytest

import minnet
from minnet import Linear, generator, glorot_uniform, he_normal, seed


def draws():
    return [Linear(3, 2).W.data.tobytes(), generator().normal(size=3).tobytes(), he_normal((2, 3)).tobytes()]


def test_the_same_seed_gives_the_same_bytes():
    seed(3)
    first = draws()
    seed(4)
    other = draws()
    seed(np.int64(3))
    assert draws() == first
    assert all(a != b for a, b in zip(first, other))


def test_seed_restarts_the_generator_in_place_also_for_its_holders():
    held = generator()
    seed(1)
    first = held.random()
    seed(1)
    assert held is generator()
    assert held.random() == first


def test_seed_gives_the_stream_that_numpy_gives_for_that_seed():
    seed(12)
    assert generator().random(3).tolist() == np.random.default_rng(12).random(3).tolist()


def test_seed_forgets_half_used_words():
    seed(5)
    expected = generator().integers(0, 100, 3, dtype=np.uint32).tolist()
    generator().integers(0, 100, 1, dtype=np.uint32)
    seed(5)
    assert generator().integers(0, 100, 3, dtype=np.uint32).tolist() == expected


def test_a_generator_is_used_as_it_is_and_an_int_makes_a_new_one():
    mine = np.random.default_rng(0)
    assert generator(mine) is mine
    assert generator(7) is not generator(7)
    assert generator(7).random() == generator(np.int32(7)).random() == np.random.default_rng(7).random()
    assert generator(7) is not generator()


def test_an_rng_of_ones_own_leaves_the_package_generator_alone():
    seed(0)
    before = generator().bit_generator.state
    Linear(3, 2, rng=4)
    glorot_uniform((2, 2), np.random.default_rng(1))
    assert generator().bit_generator.state == before


@pytest.mark.rows("bad", [1.0, "1", True, None, [1]])
def test_a_seed_that_is_no_int_is_a_type_error(bad):
    before = generator().bit_generator.state
    with pytest.raises(TypeError, match=r"^seed: expected a seed \(an int\), got "):
        seed(bad)
    assert generator().bit_generator.state == before


def test_a_generator_is_no_seed_and_where_it_belongs_is_said():
    before = generator().bit_generator.state
    with pytest.raises(TypeError, match=r"^seed: expected a seed \(an int\), got a Generator; pass that as rng= to "):
        seed(np.random.default_rng(3))
    assert generator().bit_generator.state == before


@pytest.mark.rows("bad", [1.5, "1", False, [1], np.random.PCG64(0)])
def test_an_rng_of_another_kind_is_a_type_error(bad):
    with pytest.raises(TypeError, match=r"^rng: expected a seed \(an int\) or a numpy.random.Generator, got "):
        generator(bad)


def test_a_negative_seed_is_a_value_error():
    with pytest.raises(ValueError, match=r"^seed: expected a seed of at least 0, got -1"):
        seed(-1)
    with pytest.raises(ValueError, match=r"^rng: expected a seed of at least 0, got -2"):
        generator(-2)


def test_the_global_state_of_numpy_is_neither_read_nor_written():
    numpy_global = np.random.mtrand._rand
    results = []
    for state in (0, 1):
        numpy_global.seed(state)
        before = numpy_global.get_state(legacy=False)
        seed(9)
        results.append(draws())
        after = numpy_global.get_state(legacy=False)
        assert before["state"]["key"].tolist() == after["state"]["key"].tolist()
        assert before["state"]["pos"] == after["state"]["pos"]
    assert results[0] == results[1]


X = np.array([[1, 2], [0, -1], [3, 1], [-2, 0.5], [1.5, -1], [0.5, 0.5]], np.float32)
Y = np.array([0, 1, 2, 1, 0, 2])


def classifier():
    return minnet.Sequential(
        Linear(2, 4), minnet.BatchNorm(4), minnet.Dropout(0.5), Linear(4, 3), minnet.SoftmaxCrossEntropy()
    )


def fitted(folder, **others):
    model = classifier()
    minnet.fit(model, minnet.Adam(model.parameters()), minnet.Batches(X, Y, 3), 2, [(X, Y)], **others)
    return model


def diverged(folder):
    model = classifier()
    model[0].W.data[...] = np.inf
    with pytest.raises(FloatingPointError):
        minnet.fit(model, minnet.SGD(model.parameters(), 0.1), [(X, Y)], 1)


def stepped_by_lbfgs(folder):
    model = minnet.Sequential(Linear(2, 3), minnet.SoftmaxCrossEntropy())

    def closure():
        loss = model(X, Y)
        model.backward()
        return loss

    minnet.LBFGS(model.parameters(), max_iter=3).step(closure)


def saved_and_loaded(folder):
    minnet.save(classifier(), folder / "model")
    minnet.load(classifier(), folder / "model")


def resumed(folder):
    fitted(folder, checkpoint=folder / "run")
    model = classifier()
    data = minnet.Batches(X, Y, 3), 4, [(X, Y)]
    minnet.fit(model, minnet.Adam(model.parameters()), *data, checkpoint=folder / "run", patience=None)


USES = {
    "fit": fitted,
    "fit with early stopping": lambda folder: fitted(folder, patience=1),
    "a checkpoint": resumed,
    "divergence": diverged,
    "evaluate": lambda folder: minnet.evaluate(classifier(), minnet.Batches(X, Y, 2), {"m": minnet.accuracy}),
    "predict": lambda folder: minnet.predict(classifier(), X, 2),
    "train_test_split": lambda folder: minnet.train_test_split(X, Y, 3),
    "augmented batches": lambda folder: list(minnet.Batches(X, Y, 2, transform=lambda x, rng: x + rng.normal(size=2))),
    "check_layer": lambda folder: minnet.check_layer(minnet.Dropout(0.5), X),
    "diagnose": lambda folder: minnet.diagnose(classifier(), X, Y),
    "summary": lambda folder: minnet.summary(classifier(), (2,)),
    "LBFGS": stepped_by_lbfgs,
    "save and load": saved_and_loaded,
    "seed": lambda folder: seed(3),
    "initializers": lambda folder: (
        [
            make((4, 3))
            for make in (glorot_uniform, he_normal, minnet.glorot_normal, minnet.he_uniform, minnet.lecun_normal)
        ]
        + [minnet.normal(0.1)((2, 2)), minnet.uniform(0.1)((2, 2)), minnet.orthogonal((3, 3))]
    ),
    "layers": lambda folder: [
        minnet.LSTM(2, 3),
        minnet.Conv2d(1, 2, 3),
        minnet.MultiHeadAttention(4, 2),
        minnet.Embedding(3, 2),
    ],
}


def global_state():
    state = np.random.mtrand._rand.get_state(legacy=False)
    return state["state"]["key"].tolist(), state["state"]["pos"], state["has_gauss"], state["gauss"]


@pytest.mark.parametrize("name", USES)
def test_nothing_in_the_library_touches_the_global_state_of_numpy(name, tmp_path):
    before = global_state()
    USES[name](tmp_path)
    assert global_state() == before


def test_a_use_of_the_global_state_would_be_seen():
    before = global_state()
    np.random.mtrand._rand.random()
    assert global_state() != before


@pytest.mark.parametrize(
    "name", ["evaluate", "predict", "check_layer", "diagnose", "summary", "save and load", "divergence"]
)
def test_what_only_looks_at_a_model_leaves_the_package_generator_alone(name, tmp_path, monkeypatch):
    # The models themselves draw from it when they are made.
    ready = [classifier() for _ in range(2)]
    batches = minnet.Batches(X, Y, 2, shuffle=False)
    monkeypatch.setitem(globals(), "classifier", lambda: ready.pop())
    monkeypatch.setattr(minnet, "Batches", lambda *arguments: batches)
    before = generator().bit_generator.state
    USES[name](tmp_path)
    assert generator().bit_generator.state == before
