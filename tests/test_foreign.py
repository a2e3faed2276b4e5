"""Names and keywords of other frameworks: each leads to what minnet has."""

import copy
import doctest
import inspect
import pickle
import re
import subprocess
import sys

import pytest

import minnet
from minnet import GRU, LSTM, BatchNorm, Conv2d, Dropout, Embedding, Layer, Linear, LogSoftmax, MaxPool2d, ReLU
from minnet.foreign import KEYWORDS, NAMES, RENAMED


def message(function):
    with pytest.raises((AttributeError, ImportError, TypeError)) as caught:
        function()
    return str(caught.value)


def printed(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


@pytest.mark.rows("name", list(NAMES))
def test_a_name_from_elsewhere_is_missing_with_advice(name):
    with pytest.raises(AttributeError, match=re.escape(f"minnet has no {name}; {NAMES[name]}")):
        getattr(minnet, name)
    assert not hasattr(minnet, name)
    assert getattr(minnet, name, 3) == 3


@pytest.mark.rows("name", list(NAMES))
def test_to_import_a_name_from_elsewhere_is_an_import_error_with_the_same_advice(name):
    with pytest.raises(ImportError, match=re.escape(f"minnet has no {name}; {NAMES[name]}")) as caught:
        exec(f"from minnet import {name}")
    assert caught.value.name == "minnet"


def test_what_the_advice_names_is_there_and_takes_what_it_says():
    for advice in [*NAMES.values(), *KEYWORDS.values()]:
        for name, given in re.findall(r"(?<![\w.])(\w+)\((.*?)\)", advice):
            own = inspect.signature(getattr(minnet, name)).parameters
            assert set(re.findall(r"\w+", given)) - {"layer", "W", "data", "shape"} <= set(own), advice
    for renamed in RENAMED.values():
        for name in renamed.split():
            kinds = [kind for kind in vars(minnet).values() if inspect.isclass(kind)]
            kinds = [kind for kind in kinds if issubclass(kind, (Layer, minnet.Optimizer))]
            assert any(name in inspect.signature(kind.__init__).parameters for kind in kinds), name


def test_no_name_that_minnet_has_is_in_the_table():
    assert set(dir(minnet)) & set(NAMES) == set()


def test_another_name_is_missing_as_in_any_module_and_python_suggests_a_near_one():
    told = printed("import minnet; minnet.Liner").stderr
    assert told.endswith("AttributeError: module 'minnet' has no attribute 'Liner'. Did you mean: 'Linear'?\n")
    with pytest.raises(ImportError, match="cannot import name 'Liner' from 'minnet'"):
        from minnet import Liner  # noqa: F401


def test_the_package_is_otherwise_the_module_that_it_was():
    assert "Dense" not in dir(minnet)
    assert not hasattr(minnet, "__wrapped__") and hasattr(minnet, "__path__")
    assert pickle.loads(pickle.dumps(minnet.Linear)) is copy.deepcopy(minnet.Linear) is Linear
    names = {}
    exec("from minnet import *", names)
    assert set(minnet.__all__) <= set(names)
    assert doctest.DocTestFinder().find(minnet)
    # A type checker would take a plain function to say that every name is there.
    assert not inspect.isfunction(vars(minnet)["__getattr__"])


def test_a_module_that_is_imported_later_is_found():
    code = "import minnet; from minnet import training; import minnet.layers.linear as l; print(l.Linear.__name__)"
    assert printed(code).stdout == "Linear\n"


@pytest.mark.rows(
    ("build", "told"),
    [
        (lambda: Linear(64, 10, activation="relu"), "Linear: takes no activation; put ReLU() or another activation a"),
        (lambda: Linear(3, units=4), "Linear: takes no units; write out_features"),
        (lambda: GRU(3, units=4), "GRU: takes no units; write hidden_features"),
        (lambda: Conv2d(3, filters=8, kernel_size=3), "Conv2d: takes no filters; write out_channels"),
        (lambda: Conv2d(3, 8, 3, use_bias=False), "Conv2d: takes no use_bias; write bias"),
        (lambda: MaxPool2d(pool_size=2), "MaxPool2d: takes no pool_size; write kernel_size"),
        (lambda: Dropout(rate=0.2), "Dropout: takes no rate; write p"),
        (lambda: BatchNorm(num_features=3), "BatchNorm: takes no num_features; write features"),
        (lambda: LSTM(input_size=3, hidden_size=4), "LSTM: takes no input_size; write in_features"),
        (lambda: LSTM(3, 4, num_layers=2), "LSTM: takes no num_layers; put several into a Sequential"),
        (lambda: LSTM(3, 4, batch_first=True), "LSTM: takes no batch_first; leave it out: the batch is the first axis"),
        (lambda: Embedding(input_dim=5, output_dim=3), "Embedding: takes no input_dim; write num_embeddings"),
        (lambda: Linear(input_dim=5), "Linear: takes no input_dim; write in_features"),
        (lambda: Embedding(5, 3, mask_zero=True), "Embedding: takes no mask_zero; put it into Padded(), whose x is a"),
        (lambda: minnet.Upsample2d(scale_factor=2), "Upsample2d: takes no scale_factor; write scale"),
        (lambda: minnet.Upsample2d(2, interpolation="nearest"), "Upsample2d: takes no interpolation; write mode"),
        (lambda: minnet.Upsample2d(2, align_corners=True), "Upsample2d: takes no align_corners; leave it out"),
        (lambda: ReLU(inplace=True), "ReLU: takes no inplace; leave it out"),
        (lambda: LogSoftmax(dim=-1), "LogSoftmax: takes no dim; leave it out: it is the last axis"),
        (lambda: minnet.SGD([], learning_rate=0.1), "SGD: takes no learning_rate; write lr"),
        (lambda: minnet.Adam(params=[], lr=0.1), "Adam: takes no params; write parameters"),
        (lambda: minnet.Adam([], beta_1=0.9), "Adam: takes no beta_1; write betas"),
        (lambda: minnet.RMSprop([], rho=0.9), "RMSprop: takes no rho; write alpha"),
        (lambda: minnet.SGD([], 0.1, clipnorm=1), "SGD: takes no clipnorm; write clip_norm"),
        (lambda: minnet.SGD([], 0.1, maximize=True), "SGD: takes no maximize; leave it out: a step goes downhill"),
        (lambda: minnet.SoftmaxCrossEntropy(reduction="mean"), "SoftmaxCrossEntropy: takes no reduction; leave it out"),
    ],
)
def test_a_keyword_from_elsewhere_is_refused_with_what_to_write(build, told):
    assert message(build).startswith(told)


@pytest.mark.rows("build", [lambda: Linear(3, 2, foo=1), lambda: ReLU(rate=0.5)])
def test_another_keyword_is_refused_as_python_does(build):
    assert "got an unexpected keyword argument" in message(build) or "takes no arguments" in message(build)


class Activated(Layer):
    def __init__(self, activation="relu", **others):
        self.activation, self.others = activation, others


class Any(Layer):
    def __init__(self, *args, **options):
        self.options = options


def test_a_layer_of_ones_own_may_take_such_keywords():
    assert Activated(activation="tanh").activation == "tanh"
    assert Any(filters=3, dim=1).options == {"filters": 3, "dim": 1}
