"""fit: what it refuses, how it ends early, and what it leaves behind then."""

import math
from contextlib import suppress

import numpy as np
import pytest

import minnet
from minnet import SGD, Batches, Buffer, History, Layer, Linear, Sequential, SoftmaxCrossEntropy
from minnet.training.run import Run

X = np.array([[1, 2], [0, -1], [3, 1], [-2, 0.5], [1.5, -1]], np.float32)
Y = np.array([0, 1, 2, 1, 0])


class Counter(Layer):
    """y = x; counts its forward passes in training mode, and remembers the mode of each."""

    def __init__(self):
        self.passes = Buffer(0)
        self.modes = []

    def forward(self, x):
        self.cache = x
        self.modes.append(self.training)
        if self.training:
            self.passes.data += 1
        return x

    def backward(self, dy):
        return dy


class Interrupt(Layer):
    """y = x, until somebody presses Ctrl-C in the given method of the given pass."""

    def __init__(self, where, when):
        self.where, self.left = where, when

    def passed(self, where):
        self.left -= where == self.where
        if self.left < 0:
            raise KeyboardInterrupt

    def forward(self, x):
        self.cache = x
        self.passed("forward")
        return x

    def backward(self, dy):
        self.passed("backward")
        return dy


def classifier(*between):
    return Sequential(Linear(2, 3, rng=0), *between, SoftmaxCrossEntropy())


def in_order(batch_size=2):
    return Batches(X, Y, batch_size, shuffle=False)


def batches_with_ctrl_c(batches, epoch, batch):
    """The batches, until somebody presses Ctrl-C before one of them; both count from 1."""

    class Interrupted(list):
        walks = 0

        def __iter__(self):
            self.walks += 1
            for i, pair in enumerate(super().__iter__(), 1):
                if (self.walks, i) == (epoch, batch):
                    raise KeyboardInterrupt
                yield pair

    return Interrupted(batches)


def is_clean(model):
    """Whether no gradient is left, and no cache."""
    layers = model.walk(Layer).values()
    return not any(p.grad.any() for p in model.parameters()) and not any("cache" in vars(layer) for layer in layers)


def values(model):
    return {name: array.tobytes() for name, array in model.state_dict().items()}


def test_a_gradient_that_was_left_over_does_not_leak_into_training():
    clean, dirty = classifier(), classifier()
    optimizer = SGD(dirty.parameters(), lr=0.1)
    dirty(X, Y)
    dirty.backward()
    minnet.fit(clean, SGD(clean.parameters(), lr=0.1), in_order(), 1)
    minnet.fit(dirty, optimizer, in_order(), 1)
    assert values(clean) == values(dirty)


def test_parameters_that_the_optimizer_does_not_hold_stay_and_collect_no_gradient():
    model = Sequential(Linear(2, 4, rng=0), Linear(4, 3, rng=1), SoftmaxCrossEntropy())
    frozen, trained = model[0].W.data.copy(), model[1].W.data.copy()
    minnet.fit(model, SGD(model[1].parameters(), lr=0.1), in_order(), 2)
    assert np.array_equal(model[0].W.data, frozen) and not np.array_equal(model[1].W.data, trained)
    assert is_clean(model)


@pytest.mark.parametrize("mode", [True, False])
def test_every_layer_gets_its_own_mode_back(mode):
    counter = Counter()
    model = classifier(counter, Sequential(Counter())).train(mode)
    before = [layer.training for layer in model.walk(Layer).values()]
    minnet.fit(model, SGD(model.parameters(), lr=0.1), in_order(), 2, in_order(5))
    assert counter.modes == [True, True, True, False] * 2
    assert [layer.training for layer in model.walk(Layer).values()] == before
    minnet.evaluate(model, in_order())
    minnet.predict(model, X)
    assert counter.modes[8:] == [False] * 4 and counter.passes.data == 6
    assert [layer.training for layer in model.walk(Layer).values()] == before
    assert is_clean(model)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_stops_before_its_batch_changes_anything(bad, scripted):
    model = scripted([5.0, 4.0, 3.25, bad])
    history = History()
    with pytest.raises(FloatingPointError) as caught:
        minnet.fit(model.eval(), SGD(model.parameters(), lr=0.5), [(X, Y), (X, Y)], 5, history=history)
    for words in ("epoch 2", "batch 2", str(bad), "3.25"):
        assert words in str(caught.value)
    assert model.a.data == [-1.5]
    assert history["loss"] == [4.5]
    assert is_clean(model) and not model.training


def test_a_first_loss_that_is_not_finite_has_no_last_finite_one(scripted):
    model = scripted([math.nan])
    before = values(model)
    with pytest.raises(FloatingPointError, match="epoch 1, batch 1") as caught:
        minnet.fit(model, SGD(model.parameters(), lr=0.1), [(X, Y)], 1)
    assert values(model) == before
    assert "last finite one was nan" not in str(caught.value)


def test_an_update_that_is_not_finite_comes_into_no_checkpoint_within_an_epoch(scripted, tmp_path):
    model = scripted([1.0] * 3)
    with pytest.raises(FloatingPointError, match="epoch 1, batch 1: after the update a holds 1 of 1 values"):
        # The rate is finite as a float, and not as a float32.
        minnet.fit(
            model, SGD(model.parameters(), lr=1e39), in_order(), 1, checkpoint=tmp_path / "run", checkpoint_every=1
        )
    assert not (tmp_path / "run").exists()


def test_training_that_diverges_stops_with_the_same_error():
    model = Sequential(Linear(2, 1, rng=0), minnet.MeanSquaredError())
    with pytest.raises(FloatingPointError, match=r"epoch \d+, batch \d+"), np.errstate(all="ignore"):
        minnet.fit(model, SGD(model.parameters(), lr=1e6), Batches(X, X[:, :1], 2), 100)
    assert is_clean(model)


def test_ctrl_c_between_batches_keeps_what_was_done():
    whole, stopped = classifier(), classifier().eval()
    optimizer, history = SGD(whole.parameters(), lr=0.1), History(loss=[9.0], accuracy=[0.0], seconds=[1.0])
    minnet.fit(whole, optimizer, in_order(), 2)
    minnet.fit(whole, optimizer, list(in_order())[:1], 1)
    train = batches_with_ctrl_c(in_order(), epoch=3, batch=2)
    with pytest.raises(KeyboardInterrupt):
        minnet.fit(stopped, SGD(stopped.parameters(), lr=0.1), train, 5, history=history)
    assert values(stopped) == values(whole)
    assert [len(column) for column in history.values()] == [3] * 4 and history["loss"][0] == 9.0
    assert is_clean(stopped) and not stopped.training


@pytest.mark.parametrize(
    "call, where", [("fit", "forward"), ("fit", "backward"), ("evaluate", "forward"), ("predict", "forward")]
)
def test_ctrl_c_in_the_middle_of_a_pass_leaves_the_model_usable(call, where):
    interrupt = Interrupt(where, when=1)
    model = Sequential(Linear(2, 3, rng=0), interrupt, Linear(3, 3, rng=1), SoftmaxCrossEntropy()).eval()
    optimizer, attributes = SGD(model.parameters(), lr=0.1), [set(vars(layer)) for layer in model]
    arguments = {"fit": (optimizer, in_order(), 3), "evaluate": (in_order(),), "predict": (X, 2)}
    with pytest.raises(KeyboardInterrupt):
        getattr(minnet, call)(model, *arguments[call])
    assert is_clean(model) and [set(vars(layer)) for layer in model] == attributes
    assert [layer.training for layer in model] == [False] * 4
    interrupt.left = math.inf
    losses = minnet.fit(model, optimizer, in_order(), 30)["loss"]
    assert losses[-1] < losses[0]


TRACED = {f"training/{name}.py" for name in ("fit", "run", "early_stopping", "evaluate", "modes")}
WALKED = TRACED | {"layer.py"}  # with nineteen bytecodes in twenty, nearly all of them of walks through layers


def interrupted_fit(ctrl_c, files, number=None):
    """A training whose second epoch is its best, with Ctrl-C before that bytecode: model, history, values by epoch."""
    model, figures = classifier(Counter()).eval(), iter([2.0, 1.0, 3.0])
    optimizer, history, seen = SGD(model.parameters(), lr=0.1, momentum=0.9), History(), []
    options = {
        "metrics": {"told": lambda y_true, y_pred: next(figures)},
        "patience": 5,
        "monitor": "val_told",
        "mode": "min",
        "on_epoch_end": lambda history: seen.append(values(model)),
        "history": history,
    }
    with ctrl_c(files, number) as keyboard, suppress(KeyboardInterrupt):
        minnet.fit(model, optimizer, in_order(), 3, in_order(), **options)
    return model, history, seen, keyboard


def found_in_disorder(ctrl_c, files, times):
    """What Ctrl-C leaves in disorder, before so many bytecodes all along the run, and before more of its last ones."""
    _, _, after, keyboard = interrupted_fit(ctrl_c, files)
    total, found = keyboard.count, set()
    for number in {*np.linspace(0, total, times, endpoint=False, dtype=int).tolist(), *range(total - 120, total, 5)}:
        model, history, _, keyboard = interrupted_fit(ctrl_c, files, number + 1)
        epochs = len(history.get("loss", []))
        wrong = {
            "modes": [layer.training for layer in model] != [False] * 3,
            "what is left behind": not is_clean(model),
            "the history": len({len(column) for column in history.values()}) > 1,
            # The last epoch may have been seen by early stopping and not yet recorded.
            "the best epoch": epochs > 0 and values(model) not in (after[min(epochs, 2) - 1], after[1]),
        }
        found |= {(what, number) for what, it_is in wrong.items() if it_is}
    return found


several_times = pytest.mark.parametrize(
    ("files", "times"), [(TRACED, 30), pytest.param(WALKED, 400, marks=pytest.mark.long)]
)


@several_times
def test_ctrl_c_at_any_bytecode_leaves_the_model_at_its_best_and_in_order(ctrl_c, files, times):
    """Also while fit puts the model in order, which is where the second Ctrl-C of the impatient comes."""
    assert found_in_disorder(ctrl_c, files, times) == set()


@several_times
def test_a_model_that_is_put_in_order_only_once_would_be_noticed(ctrl_c, files, times, monkeypatch):
    finish = Run.finish

    def only_once(run):
        if "finished" not in vars(run):
            run.finished = True
            finish(run)

    monkeypatch.setattr(Run, "finish", only_once)
    assert "the best epoch" in dict(found_in_disorder(ctrl_c, files, times))


REFUSED = {
    "a model that is none": ({"model": "model"}, TypeError, "Layer"),
    "a Sequential without a loss": ({"model": "headless"}, ValueError, "loss"),
    "an optimizer of another model": ({"optimizer": "foreign"}, ValueError, "parameters"),
    "no optimizer": ({"optimizer": 0.1}, TypeError, "Optimizer"),
    "an array for batches": ({"train": X}, TypeError, "Batches"),
    "a number for batches": ({"train": 3}, TypeError, "Batches"),
    "a generator": ({"train": (pair for pair in [(X, Y)])}, TypeError, "generator"),
    "an iterator": ({"train": iter([(X, Y)])}, TypeError, "iterator"),
    "no batches": ({"train": []}, ValueError, "train"),
    "a list of arrays": ({"train": [X, Y]}, TypeError, "Batches"),
    "an array to validate": ({"validation": X}, TypeError, "validation"),
    "a generator to validate": ({"validation": (pair for pair in [(X, Y)])}, TypeError, "generator"),
    "nothing to validate": ({"validation": []}, ValueError, "validation"),
    "negative epochs": ({"epochs": -1}, ValueError, "epochs"),
    "epochs that are true": ({"epochs": True}, TypeError, "epochs"),
    "half an epoch": ({"epochs": 1.5}, TypeError, "epochs"),
    "a plain dict for history": ({"history": {}}, TypeError, "History"),
}


@pytest.mark.parametrize(("change", "error", "text"), REFUSED.values(), ids=REFUSED)
def test_fit_refuses_what_does_not_fit_before_anything_changes(change, error, text):
    model = classifier(Counter())
    model(X, Y)
    model.backward()
    optimizer = SGD(model.parameters(), lr=0.1)
    before, gradients = values(model), [p.grad.copy() for p in model.parameters()]
    named = {"headless": model[:-1], "foreign": SGD(classifier().parameters(), lr=0.1)}
    arguments = {"model": model, "optimizer": optimizer, "train": in_order(), "epochs": 2, "validation": None}
    arguments |= {name: named.get(value, value) if isinstance(value, str) else value for name, value in change.items()}
    with pytest.raises(error, match=text):
        minnet.fit(**arguments)
    assert values(model) == before and optimizer.steps == 0
    assert all(np.array_equal(p.grad, g) for p, g in zip(model.parameters(), gradients))


def test_a_sequential_without_a_loss_is_refused_even_for_no_epochs():
    model = Sequential(Linear(2, 3))
    with pytest.raises(ValueError, match="loss"):
        minnet.fit(model, SGD(model.parameters(), lr=0.1), in_order(), 0)


def test_a_model_that_does_not_return_its_loss_is_told_so(scripted):
    class Forgetful(scripted):
        def forward(self, x, y=None):
            return x

    model = Forgetful([])
    with pytest.raises(TypeError, match=r"Forgetful.*float.*ndarray"):
        minnet.fit(model, SGD(model.parameters(), lr=0.1), in_order(), 1)
    with pytest.raises(TypeError, match=r"Forgetful.*float.*ndarray"):
        minnet.evaluate(model, in_order())


def test_an_optimizer_that_needs_a_closure_is_refused():
    model = minnet.Sequential(minnet.Linear(3, 2), minnet.SoftmaxCrossEntropy())
    with pytest.raises(TypeError, match="fit: expected an optimizer whose step takes nothing, got LBFGS"):
        minnet.fit(model, minnet.LBFGS(model.parameters()), [(np.ones((2, 3)), np.array([0, 1]))], 1)


def test_what_the_model_raises_says_in_which_batch():
    model = minnet.Sequential(minnet.Linear(3, 2), minnet.SoftmaxCrossEntropy())
    data = [(np.ones((2, 3)), np.array([0, 1])), (np.ones((2, 3)), np.array([0, 7]))]
    with pytest.raises(ValueError, match="label 7") as caught:
        minnet.fit(model, minnet.SGD(model.parameters(), 0.1), data, 1)
    assert caught.value.__notes__ == ["fit: this was in epoch 1, batch 2"]


@pytest.mark.parametrize(
    ("answer", "epochs"),
    [(False, 2), (np.False_, 2), (None, 4), (True, 4), (np.True_, 4), (0, 4), (0.0, 4), ("", 4), ([], 4)],
    ids=repr,
)
def test_a_callback_stops_the_training_by_false_and_by_nothing_else(answer, epochs):
    model = classifier()
    history = minnet.fit(
        model,
        SGD(model.parameters(), 0.1),
        in_order(),
        4,
        on_epoch_end=lambda history: answer if len(history["loss"]) == 2 else None,
    )
    assert len(history["loss"]) == epochs


def test_a_callback_comes_after_the_validation_and_before_the_checkpoint(tmp_path):
    path, events = tmp_path / "run", []

    class Validation(list):
        def __iter__(self):
            events.append("validation")
            return super().__iter__()

    def on_epoch_end(history):
        there = path.read_bytes() if path.exists() else b""
        events.append(("callback", {name: len(column) for name, column in history.items()}, there))

    model = classifier()
    history = minnet.fit(
        model,
        SGD(model.parameters(), 0.1),
        in_order(),
        2,
        Validation([(X, Y)]),
        metrics={"m": minnet.accuracy},
        on_epoch_end=on_epoch_end,
        checkpoint=path,
    )
    names = ["loss", "accuracy", "val_loss", "val_accuracy", "val_m", "lr", "seconds"]
    assert list(history) == names
    (first, (_, one, nothing)), (second, (_, two, early)) = events[:2], events[2:]
    assert (first, second) == ("validation", "validation")
    assert (one, two) == (dict.fromkeys(names, 1), dict.fromkeys(names, 2))
    assert nothing == b"" and early and path.read_bytes() != early


def test_what_a_callback_changes_is_in_the_checkpoint(tmp_path):
    def round_off(history):
        for parameter in model.parameters():
            parameter.data[...] = np.round(parameter.data, 1)

    model, kept = classifier(), classifier()
    minnet.fit(model, SGD(model.parameters(), 0.1), in_order(), 2, on_epoch_end=round_off, checkpoint=tmp_path / "run")
    minnet.load(kept, tmp_path / "run")
    assert values(kept) == values(model)


def test_layers_that_a_callback_puts_into_evaluation_mode_train_again():
    def looks_at_predictions(history):
        model.eval()

    model = classifier(Counter())
    minnet.fit(model, SGD(model.parameters(), lr=0.1), in_order(), 3, on_epoch_end=looks_at_predictions)
    assert model[1].modes == [True] * 9


def test_an_error_in_a_callback_leaves_the_history_whole_and_the_model_clean():
    def fail(history):
        if len(history["loss"]) == 2:
            raise LookupError("the callback")

    model, history = classifier().eval(), History()
    with pytest.raises(LookupError, match="the callback"):
        minnet.fit(model, SGD(model.parameters(), 0.1), in_order(), 5, on_epoch_end=fail, history=history)
    assert [len(column) for column in history.values()] == [2] * 4
    assert is_clean(model) and not model.training


def test_ctrl_c_in_the_validation_leaves_the_history_of_whole_epochs():
    class Interrupted(list):
        walks = 0

        def __iter__(self):
            self.walks += 1
            if self.walks == 2:
                raise KeyboardInterrupt
            return super().__iter__()

    model, history = classifier(Counter()).eval(), History()
    with pytest.raises(KeyboardInterrupt):
        minnet.fit(model, SGD(model.parameters(), 0.1), in_order(), 5, Interrupted([(X, Y)]), history=history)
    assert [len(column) for column in history.values()] == [1] * 6
    assert is_clean(model) and not any(layer.training for layer in model.walk(Layer).values())


def test_a_schedule_that_fails_says_in_which_batch():
    model = classifier()
    rates = [0.1, 0.1, -1.0]
    with pytest.raises(ValueError, match=r"SGD: expected lr to be at least 0 and finite, got -1.0") as caught:
        minnet.fit(model, SGD(model.parameters(), lambda step: rates[step]), [(X, Y)] * 4, 1)
    assert getattr(caught.value, "__notes__", None) == ["fit: this was in epoch 1, batch 3"]
    assert is_clean(model)
