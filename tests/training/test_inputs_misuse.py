"""Misuse gets a sentence: one table of what people do wrong, and what the error must name."""

import copy
import re
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

import minnet
from minnet import (
    LSTM,
    SGD,
    Adam,
    AdamW,
    Batches,
    BatchNorm,
    BinaryCrossEntropy,
    Concatenate,
    Conv2d,
    Dropout,
    Embedding,
    Flatten,
    GroupNorm,
    History,
    Layer,
    Linear,
    MaxPool2d,
    MeanSquaredError,
    MultiHeadAttention,
    ReLU,
    Residual,
    RMSprop,
    Sequential,
    Sigmoid,
    Softmax,
    SoftmaxCrossEntropy,
    Standardize,
    generator,
    predict,
    train_test_split,
)

X = np.array([[1, 2], [0, -1], [3, 1], [-2, 0.5], [1.5, -1]], np.float32)
Y = np.array([0, 1, 2, 1, 0])
RAGGED = [[1.0, 2.0], [3.0]]

# What NumPy and Python say themselves when they are handed something odd: never the whole of what a user reads.
RAW = re.compile(
    r"^(setting an array element|all the input array|operands could not|cannot convert|must be real number|could not "
    r"convert|index \d+ is out of bounds|list index|'.*' not supported|unsupported operand|.*object has no attribute|"
    r"object of type|.*object is not|matmul: |shapes \(|.*argument must be|embedded null|\[Errno )"
)


class Lazy:
    """Batches that can't be looked at without a walk."""

    def __init__(self, *batches):
        self.batches = batches

    def __iter__(self):
        return iter(self.batches)


class Sums(Layer):
    """A layer that forgets the batch axis."""

    def forward(self, x):
        return x.sum(axis=0)


def classifier():
    # A generator of one's own, so that a forward that was not to be would show in it.
    return Sequential(
        Linear(2, 4, rng=0), BatchNorm(4), Dropout(0.5, rng=1), Linear(4, 3, rng=2), SoftmaxCrossEntropy()
    )


def with_value(array, place, value):
    """A copy with another value at one place."""
    changed = array.copy()
    changed[place] = value
    return changed


@pytest.fixture(scope="module")
def one_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("misuse")


@pytest.fixture
def folder(one_folder):
    """An empty one, the same for all tests, since to make and remove hundreds takes longer than what is tried in it."""
    for path in one_folder.iterdir():
        path.unlink()
    return one_folder


def situation(folder):
    """A model in the middle of its life: in evaluation mode, with a cache, a gradient and moments."""
    model = classifier()
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
    model(X, Y)
    model.backward()
    optimizer.step()
    model.eval()
    model(X, Y)
    model.backward()
    history = History(loss=[2.0], accuracy=[0.25], seconds=[0.5])
    return SimpleNamespace(
        model=model, optimizer=optimizer, train=Batches(X[:4], Y[:4], 2, rng=3), history=history, folder=folder
    )


def fit(change, at):
    arguments = {"model": at.model, "optimizer": at.optimizer, "train": at.train, "epochs": 2, "history": at.history}
    minnet.fit(**arguments | {"progress": False} | change(at))


def saved(at, name="file"):
    """The path of a file of another model."""
    minnet.save(Sequential(Linear(7, 3)), at.folder / name)
    return at.folder / name


def written(at, content):
    """The path of a file with some content."""
    (at.folder / "file").write_bytes(content)
    return at.folder / "file"


def validated(*batches, **others):
    return lambda at: {"validation": list(batches), **others}


VALID = (X, Y)
NAN, INF = with_value(X, (3, 1), np.nan), with_value(X, (2, 0), -np.inf)

# What fit refuses at its door: the change of its arguments, the error, and the words that it must hold.
AT_THE_DOOR = {
    "a model that is none": (lambda at: {"model": "model"}, TypeError, "model", "Layer", "'model'"),
    "the class of a model": (lambda at: {"model": Sequential}, TypeError, "model", "Layer", "Sequential"),
    "a model without a loss": (lambda at: {"model": at.model[:-1]}, ValueError, "model", "loss", "Linear(4, 3"),
    "an empty model": (lambda at: {"model": Sequential()}, ValueError, "model", "loss", "None"),
    "a number for an optimizer": (lambda at: {"optimizer": 0.1}, TypeError, "optimizer", "Optimizer", "0.1"),
    "the class of an optimizer": (lambda at: {"optimizer": SGD}, TypeError, "optimizer", "Optimizer", "SGD"),
    "another model's optimizer": (
        lambda at: {"optimizer": SGD(classifier().parameters(), lr=0.1)},
        ValueError,
        "optimizer",
        "this model's parameters",
        "others",
    ),
    "this and another model's optimizer": (
        lambda at: {"optimizer": SGD([*at.model.parameters(), *classifier().parameters()], lr=0.1)},
        ValueError,
        "optimizer",
        "this model's parameters",
        "others",
    ),
    "an optimizer with a closure": (
        lambda at: {"optimizer": minnet.LBFGS(copy.deepcopy(at.model).parameters())},
        TypeError,
        "optimizer",
        "step",
        "LBFGS",
    ),
    "an array to train on": (lambda at: {"train": X}, TypeError, "train", "Batches", "ndarray"),
    "a list of arrays to train on": (lambda at: {"train": [X, Y]}, TypeError, "train", "(x, y)", "list of ndarray"),
    "a dict to train on": (lambda at: {"train": {"x": X, "y": Y}}, TypeError, "train", "Batches", "dict"),
    "a path to train on": (lambda at: {"train": "train.csv"}, TypeError, "train", "Batches", "str"),
    "a number to train on": (lambda at: {"train": 3}, TypeError, "train", "Batches", "int"),
    "nothing to train on": (lambda at: {"train": None}, TypeError, "train", "Batches", "NoneType"),
    "a generator to train on": (lambda at: {"train": (b for b in [VALID])}, TypeError, "train", "generator", "list"),
    "an iterator to train on": (lambda at: {"train": iter([VALID])}, TypeError, "train", "iterator", "read every"),
    "no batches": (lambda at: {"train": []}, ValueError, "train", "(x, y)", "empty list"),
    "fewer samples than a batch": (
        lambda at: {"train": Batches(X, Y, 32)},
        ValueError,
        "train",
        "batch_size=32",
        "got 5",
    ),
    "a batch of one array": (lambda at: {"train": [VALID, (X,)]}, ValueError, "batch 2 of train", "(x, y)", "1 of"),
    "a batch of four arrays": (
        lambda at: {"train": [VALID, (X, Y, Y, Y)]},
        ValueError,
        "batch 2 of train",
        "sample_weight",
        "4 of them",
    ),
    "a batch that is an array": (lambda at: {"train": [VALID, X]}, ValueError, "batch 2 of train", "(x, y)", "ndarray"),
    "y of another length": (
        lambda at: {"train": [VALID, (X, Y[:4])]},
        ValueError,
        "batch 2 of train",
        "as many rows",
        "(5, 2) and (4,)",
    ),
    "numbers in a batch": (lambda at: {"train": [(1.0, 2)]}, ValueError, "batch 1 of train", "rows", "()"),
    "a batch without rows": (lambda at: {"train": [VALID, (X[:0], Y[:0])]}, ValueError, "batch 2", "train", "(0, 2)"),
    "sample weights of another length": (
        lambda at: {"train": [VALID, (X, Y, np.ones(4))]},
        ValueError,
        "batch 2",
        "train",
        "sample_weight",
        "(4,)",
    ),
    "a batch of rows that differ in length": (
        lambda at: {"train": [(RAGGED, [0, 1])]},
        (TypeError, ValueError),
        "batch 1",
        "train",
    ),
    "complex x in a batch": (lambda at: {"train": [VALID, (X + 0j, Y)]}, TypeError, "x", "real", "complex"),
    "objects in a batch": (lambda at: {"train": [VALID, (X.astype(object), Y)]}, TypeError, "x", "real", "object"),
    "texts in a batch": (lambda at: {"train": [VALID, (X.astype(str), Y)]}, TypeError, "x", "real", "<U"),
    "NaN in x": (lambda at: {"train": Batches(NAN, Y, 2)}, ValueError, "train's x", "finite", "nan in row 3, column 1"),
    "infinity in x": (lambda at: {"train": Batches(INF, Y, 2)}, ValueError, "train's x", "-inf in row 2, column 0"),
    "NaN in an image": (
        lambda at: {"train": Batches(np.full((2, 2, 2, 1), np.nan), [0, 1], 2)},
        ValueError,
        "train's x",
        "nan in row 0, column (0, 0, 0)",
    ),
    "NaN in y": (
        lambda at: {"train": Batches(X, with_value(X[:, 0], 4, np.nan), 2)},
        ValueError,
        "train's y",
        "nan in row 4",
    ),
    "NaN in the weights": (
        lambda at: {"train": Batches(X, Y, 2, extra=(with_value(X[:, 0], 1, np.nan),))},
        ValueError,
        "train's extra[0]",
        "nan in row 1",
    ),
    "NaN in a list's batch": (
        lambda at: {"train": [VALID, (NAN, Y)]},
        ValueError,
        "x of batch 2 of train",
        "nan in row 3, column 1",
    ),
    "infinite weights in a list's batch": (
        lambda at: {"train": [(X, Y, np.full(5, np.inf))]},
        ValueError,
        "sample_weight of batch 1 of train",
        "inf in row 0",
    ),
    "an array to validate on": (lambda at: {"validation": X}, TypeError, "validation", "Batches", "ndarray"),
    "arrays to validate on of two lengths": (
        lambda at: {"validation": (X, Y[:2])},
        ValueError,
        "one row for each sample",
        "(5, 2) and (2,)",
        "fit: this was in validation",
    ),
    "a generator to validate on": (lambda at: {"validation": (b for b in [VALID])}, TypeError, "validation", "list"),
    "no batches to validate on": (lambda at: {"validation": []}, ValueError, "validation", "empty list"),
    "NaN to validate on": (
        lambda at: {"validation": Batches(NAN, Y, 5)},
        ValueError,
        "validation's x",
        "nan in row 3, column 1",
    ),
    "NaN in a list to validate on": (
        validated(VALID, (NAN, Y)),
        ValueError,
        "x of batch 2 of validation",
        "nan in row 3, column 1",
    ),
    "y to validate on of another length": (
        validated((X, Y[:3])),
        ValueError,
        "batch 1 of validation",
        "(5, 2) and (3,)",
    ),
    "texts to validate on": (validated((X.astype(str), Y)), TypeError, "x", "validation", "real", "<U"),
    "negative epochs": (lambda at: {"epochs": -1}, ValueError, "epochs", "at least 0", "-1"),
    "half an epoch": (lambda at: {"epochs": 1.5}, TypeError, "epochs", "int", "1.5"),
    "epochs that are true": (lambda at: {"epochs": True}, TypeError, "epochs", "int", "True"),
    "epochs as text": (lambda at: {"epochs": "10"}, TypeError, "epochs", "int", "'10'"),
    "a dict for the history": (lambda at: {"history": {}}, TypeError, "history", "History", "{}"),
    "a callback that is none": (lambda at: {"on_epoch_end": "print"}, TypeError, "on_epoch_end", "function", "'print'"),
    "metrics in a list": (validated(VALID, metrics=[minnet.accuracy]), TypeError, "metrics", "dict", "[<function"),
    "a metric that is none": (validated(VALID, metrics={"f1": 1}), TypeError, "metrics", "functions", "'f1': 1"),
    "a metric without a name": (validated(VALID, metrics={1: max}), TypeError, "metrics", "by name", "1: <built-in"),
    "a metric named loss": (validated(VALID, metrics={"loss": max}), ValueError, "metrics", "names", "'loss'"),
    "metrics without validation": (lambda at: {"metrics": {"m": max}}, ValueError, "validation", "metrics", "none"),
    "no patience": (validated(VALID, patience=0), ValueError, "patience", "at least 1", "0"),
    "half a patience": (validated(VALID, patience=2.5), TypeError, "patience", "int", "2.5"),
    "patience without validation": (lambda at: {"patience": 1}, ValueError, "monitor", "validation", "'val_loss'"),
    "an unknown monitor": (validated(VALID, patience=1, monitor="val_f1"), ValueError, "monitor", "one of", "'val_f1'"),
    "an unknown mode": (validated(VALID, patience=1, mode="best"), ValueError, "mode", '"min" or "max"', "'best'"),
    "a metric to monitor without a mode": (
        validated(VALID, patience=1, monitor="val_m", metrics={"m": minnet.accuracy}),
        ValueError,
        "mode",
        "'val_m'",
        "none",
    ),
    "a checkpoint in no folder": (
        lambda at: {"checkpoint": at.folder / "none" / "run"},
        FileNotFoundError,
        "fit: expected",
        "folder that exists",
        "run",
    ),
    "a folder for a checkpoint": (lambda at: {"checkpoint": at.folder}, IsADirectoryError, "path of a file", "folder"),
    "a number for a checkpoint": (lambda at: {"checkpoint": 3}, TypeError, "fit: expected", "path", "3"),
    "bytes for a checkpoint": (lambda at: {"checkpoint": b"run"}, TypeError, "fit: expected", "path", "b'run'"),
    "a checkpoint every 0 batches": (
        lambda at: {"checkpoint": at.folder / "run", "checkpoint_every": 0},
        ValueError,
        "checkpoint_every",
        "at least 1",
        "0",
    ),
    "a checkpoint every 1.5 batches": (
        lambda at: {"checkpoint": at.folder / "run", "checkpoint_every": 1.5},
        TypeError,
        "checkpoint_every",
        "int",
        "1.5",
    ),
    "no checkpoint every 5 batches": (lambda at: {"checkpoint_every": 5}, ValueError, "checkpoint", "5", "none"),
    "x with one axis": (lambda at: {"train": [(X[:, 0], Y)]}, ValueError, "batch 1 of train", "feature axis", "(5,)"),
}

# What shows only when the batch reaches the model, or the data are walked.
IN_A_BATCH = {
    "labels that are floats": (lambda at: {"train": [(X, Y * 1.0)]}, TypeError, "SoftmaxCrossEntropy", "integer"),
    "labels that are texts": (lambda at: {"train": [(X, Y.astype(str))]}, TypeError, "SoftmaxCrossEntropy", "<U"),
    "labels from 1": (lambda at: {"train": [(X, Y + 1)]}, ValueError, "label 3 at (2,)", "3 classes 0 to 2", "batch 1"),
    "negative labels": (lambda at: {"train": [(X, Y - 1)]}, ValueError, "label -1 at (0,)", "3 classes", "epoch 1"),
    "labels in a column": (lambda at: {"train": [(X, Y[:, None])]}, ValueError, "target", "(5,) (labels)", "(5, 1)"),
    "x with other features": (
        lambda at: {"train": Batches(np.ones((5, 7)), Y, 5)},
        ValueError,
        "Linear(2, 4",
        "(..., 2)",
        "(5, 7)",
    ),
    "one row for BatchNorm": (
        lambda at: {"train": [(X[:1], Y[:1])]},
        ValueError,
        "layer 1, BatchNorm(4)",
        "two rows",
        "(1, 4)",
    ),
    "negative sample weights": (
        lambda at: {"train": [(X, Y, -np.ones(5))]},
        ValueError,
        "SoftmaxCrossEntropy",
        "sample_weight",
        "at least 0",
    ),
    "NaN in what is walked lazily": (
        lambda at: {"train": Lazy((NAN, Y))},
        ValueError,
        "x of batch 1 of train",
        "nan in row 3, column 1",
    ),
    "y of another length in what is walked lazily": (
        lambda at: {"train": Lazy((X, Y[:2]))},
        ValueError,
        "batch 1 of train",
        "(5, 2) and (2,)",
    ),
    "nothing in what is walked lazily": (lambda at: {"train": Lazy()}, ValueError, "train", "at least one batch"),
    "a negative rate": (
        lambda at: {"optimizer": SGD(at.model.parameters(), lr=lambda step: -0.5)},
        ValueError,
        "SGD",
        "lr",
        "at least 0",
        "-0.5",
    ),
    "a rate that is NaN": (
        lambda at: {"optimizer": SGD(at.model.parameters(), lr=lambda step: float("nan"))},
        ValueError,
        "SGD",
        "lr",
        "finite",
        "nan",
    ),
}

# And what shows only after an epoch.
AFTER_AN_EPOCH = {
    "a metric that gives an array": (
        validated(VALID, metrics={"m": lambda y_true, y_pred: np.ones(2)}),
        TypeError,
        "metric m",
        "number",
        "ndarray",
    ),
    "a metric that gives a table": (
        validated(VALID, metrics={"m": minnet.classification_report}),
        TypeError,
        "metric m",
        "number",
        "Report",
    ),
    "a metric that gives nothing": (
        validated(VALID, metrics={"m": lambda y_true, y_pred: None}),
        TypeError,
        "metric m",
        "number",
        "NoneType",
    ),
    "an accuracy to monitor that isn't there": (
        lambda at: {
            "model": (line := Sequential(Linear(2, 1), MeanSquaredError())),
            "optimizer": SGD(line.parameters(), 0.1),
            "train": [(X, X[:, :1])],
            "patience": 1,
            "monitor": "accuracy",
        },
        ValueError,
        "monitor",
        "loss",
        "'accuracy'",
    ),
    "NaN to validate on that is walked lazily": (
        lambda at: {"validation": Lazy(VALID, (X, with_value(X, (0, 1), np.inf)))},
        ValueError,
        "y of batch 2 of validation",
        "inf in row 0, column 1",
    ),
    "no batches to validate on that are walked lazily": (
        lambda at: {"validation": Lazy()},
        ValueError,
        "validation",
        "at least one batch",
    ),
}

SHARED, LATE = Linear(2, 2), Linear(2, 2)
ELSEWHERE = {
    # Data
    "Batches of y of another length": (lambda at: Batches(X, Y[:4], 2), ValueError, "Batches", "(5, 2) and (4,)"),
    "Batches of nothing": (lambda at: Batches(X[:0], Y[:0], 2), ValueError, "Batches", "at least one sample", "none"),
    "Batches of x with one axis": (lambda at: Batches(X[:, 0], Y, 2), ValueError, "Batches", "feature axis", "(5,)"),
    "Batches of complex x": (lambda at: Batches(X + 0j, Y, 2), TypeError, "Batches", "real", "complex"),
    "Batches of objects": (lambda at: Batches(X.astype(object), Y, 2), TypeError, "Batches", "real", "object"),
    "Batches of texts": (lambda at: Batches(X.astype(str), Y, 2), TypeError, "Batches", "real", "<U"),
    "Batches of rows that differ in length": (
        lambda at: Batches(RAGGED, [0, 1], 1),
        (TypeError, ValueError),
        "Batches",
        "x",
    ),
    "a batch size of 0": (lambda at: Batches(X, Y, 0), ValueError, "Batches", "batch_size", "at least 1", "0"),
    "a batch size of -1": (lambda at: Batches(X, Y, -1), ValueError, "Batches", "batch_size", "at least 1", "-1"),
    "a batch size of 2.5": (lambda at: Batches(X, Y, 2.5), TypeError, "Batches", "batch_size", "int", "2.5"),
    "a batch size that is true": (lambda at: Batches(X, Y, True), TypeError, "Batches", "batch_size", "int", "True"),
    "extra of another length": (
        lambda at: Batches(X, Y, 2, extra=(X[:3],)),
        ValueError,
        "Batches",
        "extra[0]",
        "5 samples",
        "(3, 2)",
    ),
    "a transform that is none": (lambda at: Batches(X, Y, 2, transform=1), TypeError, "transform", "function", "1"),
    "a transform that drops rows": (
        lambda at: list(Batches(X, Y, 5, transform=lambda x, rng: x[1:])),
        ValueError,
        "transform",
        "5 rows",
        "(4, 2)",
    ),
    "a split into nothing": (lambda at: train_test_split(X, Y, 5), ValueError, "test_size", "both parts of 5", "5"),
    "a split by more than all": (lambda at: train_test_split(X, Y, 1.5), ValueError, "test_size", "both parts", "1.5"),
    "a split by a text": (lambda at: train_test_split(X, Y, "half"), (TypeError, ValueError), "test_size", "'half'"),
    "a split by NaN": (lambda at: train_test_split(X, Y, np.nan), ValueError, "test_size", "nan"),
    "a split of different lengths": (
        lambda at: train_test_split(X, Y[:2]),
        ValueError,
        "train_test_split",
        "(5, 2) and (2,)",
    ),
    "a split stratified by floats": (
        lambda at: train_test_split(X, X[:, 0]),
        ValueError,
        "stratify",
        "label",
        "float32",
    ),
    "one_hot of floats": (lambda at: minnet.one_hot(X), TypeError, "one_hot", "integer", "float32"),
    "one_hot of a label beyond the classes": (
        lambda at: minnet.one_hot(Y, classes=2),
        ValueError,
        "one_hot",
        "0 to 1",
        "0 to 2",
    ),
    "one_hot of nothing": (lambda at: minnet.one_hot([]), ValueError, "one_hot", "classes"),
    "one_hot of rows that differ in length": (
        lambda at: minnet.one_hot([[1, 2], [0]]),
        (TypeError, ValueError),
        "one_hot",
    ),
    "Standardize before its fit": (lambda at: Standardize().transform(X), RuntimeError, "Standardize", "fit"),
    "Standardize of other features": (
        lambda at: Standardize().fit(X).transform(X[:, :1]),
        ValueError,
        "Standardize",
        "(..., 2)",
        "(5, 1)",
    ),
    "Standardize of NaN": (lambda at: Standardize().fit(NAN), ValueError, "Standardize", "finite", "NaN"),
    "Standardize of one axis": (
        lambda at: Standardize().fit(X[:, 0]),
        ValueError,
        "Standardize",
        "(N, ..., D)",
        "(5,)",
    ),
    "Standardize of texts": (lambda at: Standardize().fit(X.astype(str)), TypeError, "Standardize", "real", "<U"),
    "an IDX file of text": (
        lambda at: minnet.load_idx(written(at, b"5,0,3,7\n")),
        ValueError,
        "load_idx",
        "IDX file",
        "352c302c",
    ),
    "an IDX file that is empty": (lambda at: minnet.load_idx(written(at, b"")), ValueError, "IDX file", "nothing"),
    "no IDX file": (lambda at: minnet.load_idx(at.folder / "images"), FileNotFoundError, "images"),
    # Optimizers
    "an optimizer of nothing": (lambda at: SGD([], 0.1), ValueError, "SGD", "at least one parameter", "none"),
    "an optimizer of arrays": (lambda at: SGD([X], 0.1), TypeError, "SGD", "model.parameters()", "array("),
    "an optimizer of a model": (lambda at: Adam(Linear(2, 3)), TypeError, "Adam", "model.parameters()", "Linear(2, 3)"),
    "an optimizer of two dtypes": (
        lambda at: SGD([*Linear(1, 1).parameters(), *Linear(1, 1).astype(float).parameters()], 0.1),
        ValueError,
        "one dtype",
        "float32 and float64",
    ),
    "an optimizer older than the dtype": (
        lambda at: [SGD(LATE.parameters(), 0.1), LATE.astype(float)][0].step(),
        ValueError,
        "SGD",
        "float32",
        "float64",
        "new optimizer",
    ),
    "a negative learning rate": (lambda at: SGD(SHARED.parameters(), -0.1), ValueError, "SGD", "lr", "-0.1"),
    "a learning rate that is NaN": (lambda at: Adam(SHARED.parameters(), np.nan), ValueError, "Adam", "lr", "nan"),
    "an infinite learning rate": (lambda at: SGD(SHARED.parameters(), np.inf), ValueError, "lr", "finite", "inf"),
    "a learning rate as text": (lambda at: SGD(SHARED.parameters(), "0.1"), TypeError, "lr", "number", "'0.1'"),
    "no learning rate": (lambda at: SGD(SHARED.parameters(), None), TypeError, "SGD", "lr", "number", "None"),
    "a momentum of 1": (lambda at: SGD(SHARED.parameters(), 0.1, 1), ValueError, "momentum", "below 1", "1"),
    "a momentum below 0": (lambda at: RMSprop(SHARED.parameters(), momentum=-1), ValueError, "momentum", "-1"),
    "Nesterov without momentum": (lambda at: SGD(SHARED.parameters(), 0.1, nesterov=True), ValueError, "momentum"),
    "a beta of 1": (lambda at: Adam(SHARED.parameters(), betas=(0.9, 1.0)), ValueError, "betas", "below 1", "1.0"),
    "one beta": (lambda at: Adam(SHARED.parameters(), betas=0.9), TypeError, "betas", "pair", "0.9"),
    "three betas": (lambda at: Adam(SHARED.parameters(), betas=(0, 0, 0)), ValueError, "betas", "pair", "(0, 0, 0)"),
    "a weight decay below 0": (
        lambda at: AdamW(SHARED.parameters(), weight_decay=-1),
        ValueError,
        "weight_decay",
        "-1",
    ),
    "a clip norm below 0": (lambda at: SGD(SHARED.parameters(), 0.1, clip_norm=-1), ValueError, "clip_norm", "-1"),
    "the state of another optimizer": (
        lambda at: SGD(SHARED.parameters(), 0.1).load_state_dict(Adam(SHARED.parameters()).state_dict()),
        ValueError,
        "SGD",
        "unexpected m (6,)",
        "unexpected v (6,)",
    ),
    "a schedule below 0": (lambda at: minnet.cosine_decay(-0.1, 10), ValueError, "cosine_decay", "lr", "-0.1"),
    "a schedule of no steps": (lambda at: minnet.cosine_decay(0.1, 0), ValueError, "cosine_decay", "steps", "0"),
    # Models
    "a loss in the middle": (
        lambda at: Sequential(Linear(2, 3), SoftmaxCrossEntropy(), ReLU()),
        ValueError,
        "SoftmaxCrossEntropy() is layer 1 of 3",
        "last",
    ),
    "a softmax before a softmax loss": (
        lambda at: Sequential(Linear(2, 3), Softmax(), SoftmaxCrossEntropy()),
        ValueError,
        "Softmax() in front of SoftmaxCrossEntropy()",
        "leave it out",
    ),
    "a sigmoid before a sigmoid loss": (
        lambda at: Sequential(Linear(2, 1), Sigmoid(), BinaryCrossEntropy()),
        ValueError,
        "Sigmoid() in front of BinaryCrossEntropy()",
    ),
    "a layer twice": (
        lambda at: Sequential(SHARED, ReLU(), SHARED),
        ValueError,
        "Linear(2, 2)",
        "layer 0 and in layer 2",
        "second layer",
    ),
    "the class of a layer": (lambda at: Sequential(Linear(2, 2), ReLU), TypeError, "layer 1", "Layer", "ReLU(...)"),
    "no layer": (lambda at: Sequential(None), TypeError, "Sequential", "layer 0", "None"),
    "a loss beside a residual path": (lambda at: Residual(MeanSquaredError()), ValueError, "Residual", "loss"),
    "no branches": (lambda at: Concatenate(), ValueError, "Concatenate", "branches", "()"),
    "backward before forward": (
        lambda at: classifier().backward(),
        RuntimeError,
        "SoftmaxCrossEntropy()",
        "backward before forward",
    ),
    "backward without dy": (lambda at: Sequential(Linear(2, 3)).backward(), TypeError, "Sequential", "dy", "loss"),
    "a target without a loss": (lambda at: Sequential(Linear(2, 3))(X, Y), ValueError, "target", "loss"),
    "a probability to drop of 2": (lambda at: Dropout(2), ValueError, "Dropout", "p from 0 to 1", "2"),
    "a probability to drop as text": (lambda at: Dropout("0.5"), (TypeError, ValueError), "Dropout", "p", "'0.5'"),
    "heads that don't divide": (lambda at: MultiHeadAttention(6, 4), ValueError, "heads", "6 features", "4"),
    "groups that don't divide": (lambda at: GroupNorm(4, 6), ValueError, "GroupNorm", "groups", "6 features", "4"),
    "an activation for a bias": (
        lambda at: Linear(3, 3, "relu"),
        TypeError,
        "Linear",
        "bias",
        "True or False",
        "'relu'",
    ),
    "no channels": (lambda at: Conv2d(0, 3, 3), ValueError, "Conv2d", "in_channels", "at least 1", "0"),
    "channels in letters": (lambda at: Conv2d(3, "a", 3), TypeError, "Conv2d", "out_channels", "int", "'a'"),
    "no hidden features": (lambda at: LSTM(3, 0), ValueError, "LSTM", "hidden_features", "at least 1", "0"),
    "images without channels": (
        lambda at: Conv2d(1, 4, 3)(np.ones((2, 8, 8))),
        ValueError,
        "x[..., None]",
        "(2, 8, 8)",
    ),
    "no features": (lambda at: Linear(0, 3), ValueError, "Linear: expected in_features", "at least 1, got 0"),
    "Linear on other features": (lambda at: Linear(2, 3)(np.ones((4, 5))), ValueError, "Linear(2, 3)", "(4, 5)"),
    "Linear on images": (
        lambda at: Linear(64, 3)(np.ones((2, 8, 8))),
        ValueError,
        "Linear(64, 3)",
        "(..., 64)",
        "(2, 8, 8)",
        "Flatten()",
    ),
    "Linear on complex numbers": (lambda at: Linear(2, 3)(X + 0j), TypeError, "Linear(2, 3)", "real", "complex"),
    "Conv2d on other channels": (
        lambda at: Conv2d(3, 4, 3)(np.ones((2, 8, 8, 1))),
        ValueError,
        "Conv2d(3, 4, 3)",
        "(N, h, w, 3)",
        "(2, 8, 8, 1)",
    ),
    "Conv2d on too small an image": (
        lambda at: Conv2d(1, 4, 3)(np.ones((2, 2, 2, 1))),
        ValueError,
        "Conv2d(1, 4, 3)",
        "window",
        "(2, 2, 2, 1)",
    ),
    "LSTM on other features": (lambda at: LSTM(3, 4)(np.ones((2, 5, 2))), ValueError, "LSTM(3, 4)", "(2, 5, 2)"),
    "LSTM without a time axis": (
        lambda at: LSTM(3, 4)(np.ones((5, 3))),
        ValueError,
        "LSTM(3, 4)",
        "(N, T, 3)",
        "(5, 3)",
    ),
    "attention without a time axis": (
        lambda at: MultiHeadAttention(4, 2)(np.ones((5, 4))),
        ValueError,
        "MultiHeadAttention(4, 2)",
        "(N, T, 4)",
        "(5, 4)",
    ),
    "ids beyond the embeddings": (lambda at: Embedding(3, 2)([1, 3]), ValueError, "Embedding(3, 2)", "0 to 2", "3"),
    "ids that are floats": (lambda at: Embedding(3, 2)([1.0]), TypeError, "Embedding(3, 2)", "integer", "float64"),
    "BatchNorm on one row": (
        lambda at: BatchNorm(3)(np.ones((1, 3))),
        ValueError,
        "BatchNorm(3)",
        "two rows",
        "(1, 3)",
    ),
    "a state with other names": (
        lambda at: Linear(2, 3).load_state_dict({"W": np.ones((3, 2)), "c": [1.0]}),
        ValueError,
        "missing b (3,)",
        "unexpected c (1,)",
        "W has shape (3, 2), expected (2, 3)",
    ),
    # Work
    "evaluate of no model": (lambda at: minnet.evaluate("model", [VALID]), TypeError, "evaluate", "model", "'model'"),
    "evaluate without a loss": (lambda at: minnet.evaluate(at.model[:-1], [VALID]), ValueError, "evaluate", "loss"),
    "evaluate on nothing": (lambda at: minnet.evaluate(at.model, []), ValueError, "evaluate", "data", "empty list"),
    "evaluate on nothing walked once": (
        lambda at: minnet.evaluate(at.model, iter([])),
        ValueError,
        "evaluate",
        "data",
        "none",
    ),
    "evaluate on arrays": (lambda at: minnet.evaluate(at.model, X), TypeError, "evaluate", "data", "ndarray"),
    "evaluate on y of another length": (
        lambda at: minnet.evaluate(at.model, [VALID, (X, Y[:1])]),
        ValueError,
        "evaluate: batch 2 of data",
        "(5, 2) and (1,)",
    ),
    "evaluate with a metric that is none": (
        lambda at: minnet.evaluate(at.model, [VALID], {"m": "f1"}),
        TypeError,
        "evaluate",
        "metrics",
        "'m': 'f1'",
    ),
    "predict of no model": (lambda at: predict(X, X), TypeError, "predict", "model", "Layer", "an array of shape"),
    "predict for a number": (lambda at: predict(at.model, 1.0), ValueError, "predict", "(N, ...)", "number"),
    "predict for rows that differ in length": (
        lambda at: predict(at.model, RAGGED),
        (TypeError, ValueError),
        "predict",
        "x",
    ),
    "predict for texts": (lambda at: predict(at.model, X.astype(str)), TypeError, "layer 0, Linear", "real", "<U"),
    "predict in batches of 0": (lambda at: predict(at.model, X, 0), ValueError, "predict", "batch_size", "0"),
    "predict in batches of 2.0": (lambda at: predict(at.model, X, 2.0), TypeError, "predict", "batch_size", "2.0"),
    "predict for one sample": (
        lambda at: predict(Sequential(Linear(2, 3)), X[0]),
        ValueError,
        "predict",
        "each of the 2 rows",
        "(3,)",
        "x[None]",
    ),
    "predict by a layer that loses rows": (lambda at: predict(Sums(), X), ValueError, "predict", "5 rows", "(2,)"),
    "save of no model": (
        lambda at: minnet.save(X, at.folder / "f"),
        TypeError,
        "save",
        "model",
        "Layer",
        "an array of shape",
    ),
    "save of a state": (lambda at: minnet.save({}, at.folder / "f"), TypeError, "save", "model", "Layer", "{}"),
    "save to no path": (lambda at: minnet.save(at.model, None), TypeError, "save", "path", "None"),
    "save to a folder": (lambda at: minnet.save(at.model, at.folder), IsADirectoryError, "save", "file", "folder"),
    "save to no folder": (lambda at: minnet.save(at.model, at.folder / "n" / "f"), FileNotFoundError, "save", "folder"),
    "load into no model": (lambda at: minnet.load("model", saved(at)), TypeError, "load", "model", "'model'"),
    "load from no path": (lambda at: minnet.load(at.model, 3), TypeError, "load", "path", "3"),
    "load from nothing": (lambda at: minnet.load(at.model, at.folder / "nothing"), FileNotFoundError, "nothing"),
    "load from a text": (
        lambda at: minnet.load(at.model, written(at, b"text")),
        minnet.CheckpointError,
        "file",
        "not a whole minnet file",
    ),
    "load from another model": (
        lambda at: minnet.load(at.model, saved(at)),
        minnet.CheckpointError,
        "load",
        "missing 1.gamma (4,)",
        "0.W has shape (7, 3), expected (2, 4)",
    ),
    "a seed that is a text": (lambda at: minnet.seed("x"), TypeError, "seed", "int", "'x'"),
    "a negative seed": (lambda at: minnet.seed(-1), ValueError, "seed", "at least 0", "-1"),
    "a generator from a text": (lambda at: Linear(2, 3, rng="x"), TypeError, "seed", "Generator", "'x'"),
    "a model that is none to check": (lambda at: minnet.check_layer("x", X), TypeError, "check_layer", "Layer", "'x'"),
    "a summary for a number": (
        lambda at: minnet.summary(at.model, 2),
        TypeError,
        "summary",
        "input_shape",
        "tuple",
        "2",
    ),
    "metrics of other lengths": (lambda at: minnet.accuracy(Y, Y[:2]), ValueError, "accuracy", "(2,)"),
}

BEFORE_FORWARD = {
    "Linear": Linear(2, 3),
    "BatchNorm": BatchNorm(3),
    "Dropout": Dropout(),
    "LSTM": LSTM(2, 3),
    "Conv2d": Conv2d(1, 1, 1),
    "ReLU": ReLU(),
    "MultiHeadAttention": MultiHeadAttention(4, 2),
    "MaxPool2d": MaxPool2d(2),
    "Flatten": Flatten(),
    "Embedding": Embedding(3, 3),
    "MeanSquaredError": MeanSquaredError(),
    "SoftmaxCrossEntropy": SoftmaxCrossEntropy(),
}


def of_fit(rows):
    return {f"fit: {name}": (partial(fit, row[0]), *row[1:]) for name, row in rows.items()}


MISUSE = {
    **of_fit(AT_THE_DOOR),
    **of_fit(IN_A_BATCH),
    **of_fit(AFTER_AN_EPOCH),
    **ELSEWHERE,
    **{
        f"backward of {name} before forward": (
            lambda at, layer=layer: layer.backward(np.ones((2, 3))),
            RuntimeError,
            name,
            "before forward",
        )
        for name, layer in BEFORE_FORWARD.items()
    },
}


def complaint(caught):
    """All that a user reads of an error."""
    return "\n".join([str(caught.value), *getattr(caught.value, "__notes__", [])])


def random_state():
    state = np.random.mtrand._rand.get_state(legacy=False)
    return repr((state["state"]["key"].tolist(), state["state"]["pos"], state["has_gauss"], state["gauss"]))


def learned(at):
    """All that training changes for good."""
    return {
        "model": {name: array.tobytes() for name, array in at.model.state_dict().items()},
        "optimizer": {name: np.asarray(value).tobytes() for name, value in at.optimizer.state_dict().items()},
        "modes": [layer.training for layer in at.model.walk(Layer).values()],
        "history": repr(at.history),
        "numpy": random_state(),
        "files": sorted(path.name for path in at.folder.iterdir()),
    }


def everything(at):
    """And what it changes on the way."""
    generators = [*at.model.walk(np.random.Generator).values(), at.train.rng, generator()]
    return learned(at) | {
        "gradients": [parameter.grad.tobytes() for parameter in at.model.parameters()],
        "generators": [drawn.bit_generator.state for drawn in generators],
        "caches": ["cache" in vars(layer) for layer in at.model.walk(Layer).values()],
        "attributes": [set(vars(layer)) for layer in at.model.walk(Layer).values()],
    }


@pytest.mark.parametrize("name", MISUSE)
def test_misuse_is_told_what_was_expected_and_what_came(name, folder):
    misuse, error, *words = MISUSE[name]
    at = situation(folder)
    with pytest.raises(error) as caught:
        misuse(at)
    told = complaint(caught)
    assert [word for word in words if word not in told] == [], told
    assert not RAW.match(str(caught.value)) or isinstance(caught.value, FileNotFoundError), told


def test_the_table_of_misuse_is_as_long_as_was_promised():
    assert len(MISUSE) >= 70
    assert all(len(row) >= 3 and all(isinstance(word, str) for word in row[2:]) for row in MISUSE.values())


@pytest.mark.parametrize("name", AT_THE_DOOR)
def test_fit_changes_nothing_when_it_refuses_at_the_door(name, folder):
    at = situation(folder)
    change = AT_THE_DOOR[name][0](at)  # a new optimizer begins with gradients of zero
    before = everything(at)
    with pytest.raises((TypeError, ValueError, OSError)):
        fit(lambda at: change, at)
    assert everything(at) == before
    at.model.backward()


@pytest.mark.parametrize("name", IN_A_BATCH)
def test_fit_learns_nothing_from_a_first_batch_that_is_refused(name, folder):
    at = situation(folder)
    at.model.train()
    # Running statistics of a forward that fails further on are not learned from, but they are there.
    before = learned(at) | {"model": [parameter.data.tobytes() for parameter in at.model.parameters()]}
    with pytest.raises((TypeError, ValueError)):
        fit(IN_A_BATCH[name][0], at)
    assert learned(at) | {"model": [parameter.data.tobytes() for parameter in at.model.parameters()]} == before
    assert not any(parameter.grad.any() for parameter in at.model.parameters())
    assert not any("cache" in vars(layer) for layer in at.model.walk(Layer).values())


def test_an_optimizer_that_a_model_has_outgrown_is_refused_before_anything_changes(folder):
    at = situation(folder)
    at.model.astype(np.float64)
    before = {name: array.tobytes() for name, array in at.model.state_dict().items()}
    drawn = at.model[2].rng.bit_generator.state
    with pytest.raises(ValueError, match=r"SGD: expected a parameter of shape .* float32"):
        fit(lambda at: {}, at)
    # The running statistics of BatchNorm and the generator of Dropout would tell of a batch.
    assert {name: array.tobytes() for name, array in at.model.state_dict().items()} == before
    assert at.model[2].rng.bit_generator.state == drawn


@pytest.mark.parametrize("change", [{"monitor": "val_f1"}, {"mode": "best"}], ids=["monitor", "mode"])
def test_a_figure_to_watch_that_cannot_be_is_not_ignored_for_want_of_patience(change, folder):
    with pytest.raises(ValueError, match=rf"{next(iter(change))}"):
        fit(lambda at: change, situation(folder))


def test_a_refusal_that_came_too_late_would_be_seen(monkeypatch, folder):
    """The check above fails when data are not looked at before the training."""
    monkeypatch.setattr("minnet.training.conditions.check_values", lambda name, data: False)
    at = situation(folder)
    before = everything(at)
    with pytest.raises(ValueError, match="nan"):
        fit(AT_THE_DOOR["NaN in a list's batch"][0], at)
    assert everything(at) != before
