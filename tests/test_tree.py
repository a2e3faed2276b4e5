"""Where parameters, buffers, generators and layers are found."""

import collections
import types

import numpy as np
import pytest

from minnet import (
    Buffer,
    Layer,
    Linear,
    Parameter,
    ReLU,
    Sequential,
    tree,
)


class Scale(Layer):
    """y = g · x        dg = Σ dy · x        dx = g · dy"""

    def __init__(self, features):
        self.g = Parameter(np.ones(features))

    def forward(self, x):
        self.cache = x
        return x * self.g.data

    def backward(self, dy):
        x = self.cache
        self.g.grad += (dy * x).sum(axis=0)
        return dy * self.g.data


class Holder(Layer):
    """Whatever is given, as attributes."""

    def __init__(self, **attributes):
        vars(self).update(attributes)


class Slotted:
    __slots__ = ("inside",)

    def __init__(self, inside):
        self.inside = inside


def p(*values):
    return Parameter(np.array(values))


def test_parameters_come_in_order_of_assignment():
    z, a, m = p(1), p(2), p(3)
    layer = Holder(z=z, a=a, m=m)
    assert [id(parameter) for parameter in layer.parameters()] == [id(z), id(a), id(m)]
    assert list(layer.named_parameters()) == ["z", "a", "m"]


def test_names_of_nested_parameters_are_paths():
    block = Holder(layers=[ReLU(), Holder(gamma=p(1))])
    model = Sequential(Linear(2, 2), ReLU(), block)
    assert list(model.named_parameters()) == ["0.W", "0.b", "2.layers.1.gamma"]
    assert list(model.walk(Layer)) == ["", "0", "1", "2", "2.layers.0", "2.layers.1"]


def test_lists_tuples_and_dicts_are_walked_however_nested():
    layer = Holder(
        items=[p(1), (p(2), {"deep": [p(3)]})],
        pair=(p(4), Buffer([1.0])),
        table={"left": p(5), 7: Scale(1)},
        ordered=collections.OrderedDict(k=p(6)),
        point=collections.namedtuple("Point", "x")(p(7)),
    )
    expected = "items.0 items.1.0 items.1.1.deep.0 pair.0 table.left table.7.g ordered.k point.0"
    assert " ".join(layer.named_parameters()) == expected
    assert list(layer.walk(Buffer)) == ["pair.1"]


def object_array(w):
    array = np.empty(2, object)
    array[0] = w
    return array


@pytest.mark.rows(
    "hide",
    [
        lambda w: {w},
        lambda w: frozenset([w]),
        lambda w: {Linear(1, 1)},
        lambda w: {Buffer([1.0])},
        lambda w: [{"inner": {w}}],
        lambda w: collections.deque([w]),
        lambda w: {"w": w}.values(),
        lambda w: object_array(w),
        lambda w: types.SimpleNamespace(w=w),
        lambda w: {(w, "tuple in a set")},
        lambda w: types.SimpleNamespace(items=[w]),
        lambda w: collections.deque([[w]]),
        lambda w: collections.UserList([w]),
        lambda w: types.MappingProxyType({"w": w}),
        lambda w: Slotted(w),
        lambda w: {w: "key of a dict"},
    ],
    ids=[
        "set",
        "frozenset",
        "set of layers",
        "set of buffers",
        "set in a list",
        "deque",
        "dict view",
        "object array",
        "object",
        "tuple in a set",
        "list in an object",
        "list in a deque",
        "UserList",
        "mapping proxy",
        "object with slots",
        "dict key",
    ],
)
def test_a_parameter_where_it_cannot_be_found_is_an_error(hide):
    layer = Holder(ok=p(1), bag=hide(p(2)))
    with pytest.raises(TypeError, match="bag"):
        layer.parameters()


def test_sets_of_other_things_are_let_alone():
    layer = Holder(names={"a", "b"}, ids=np.arange(3), note=types.SimpleNamespace(n=1), kind=Layer, w=p(1))
    assert list(layer.named_parameters()) == ["w"]


@pytest.mark.rows("table", [{1: p(1), "1": p(2)}, {"a": {"b": p(1)}, "a.b": p(2)}])
def test_two_parameters_never_hide_behind_one_name(table):
    try:
        found = Holder(table=table).parameters()
    except (TypeError, ValueError):
        return  # a refusal is as good as finding both
    assert len(found) == 2


def test_a_shared_parameter_counts_once_and_collects_both_gradients():
    encoder, decoder = Scale(2), Scale(2)
    decoder.g = encoder.g
    model = Sequential(encoder, decoder)
    assert list(model.named_parameters()) == ["0.g"]
    assert list(model.state_dict()) == ["0.g"]
    model.load_state_dict({"0.g": [3, 5]})
    x = np.array([[1.0, 2.0]])
    assert model(x).tolist() == [[9, 50]]
    model.backward(np.ones((1, 2)))
    # y = g² x, so dg = 2 g x.
    assert model.parameters()[0].grad.tolist() == [6, 20]


def test_a_layer_held_twice_is_found_once_and_cycles_end():
    inner = Scale(1)
    outer = Holder(first=inner, again=[inner])
    inner.parent = outer
    assert list(outer.named_parameters()) == ["first.g"]
    assert list(outer.walk(Layer)) == ["", "first"]


def test_generators_are_found():
    rng = np.random.default_rng(0)
    assert Holder(inner=[Holder(rng=rng)]).walk(np.random.Generator) == {"inner.0.rng": rng}


def test_neither_cache_nor_arguments_are_walked():
    class Keeper(Layer):
        def __init__(self, given):
            self.w = p(1)

        def forward(self, x):
            self.cache = {"hidden": p(2)}, {p(3)}
            return x

    layer = Keeper({p(4)})
    layer(np.ones(1))
    assert list(layer.named_parameters()) == ["w"]


def test_a_layer_at_the_end_of_a_long_list_is_found():
    layer = Holder(many=[0.0] * 1000 + [Linear(1, 1)], table={**{str(i): i for i in range(1000)}, "last": p(1)})
    assert list(layer.named_parameters()) == ["many.1000.W", "many.1000.b", "table.last"]


def test_long_lists_of_words_are_not_walked_word_by_word():
    seen = []

    class Word(str):
        def __getattribute__(self, name):
            seen.append(name)
            return super().__getattribute__(name)

    words = [f"word {i}" for i in range(1000)]
    layer = Holder(words=words, table=dict.fromkeys(words, 1), both=(words, set(words)), own=[Word("x")])
    calls = []
    walk = tree.walk

    def counted(value, name, seen):
        calls.append(name)
        return walk(value, name, seen)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tree, "walk", counted)
        layer.parameters()
    assert len(calls) < 20


def test_tables_of_words_are_not_walked_row_by_row_and_layers_in_them_are_found():
    pairs = [("a", "b")] * 1000
    table = {str(i): ["a", "b"] for i in range(1000)}
    assert list(Holder(pairs=pairs, table=table).walk(Layer)) == [""]
    inner = Linear(1, 1)
    assert list(Holder(pairs=[*pairs, ("a", inner)]).named_parameters()) == ["pairs.1000.1.W", "pairs.1000.1.b"]
    assert list(Holder(table=table | {"last": ["a", inner]}).named_parameters()) == ["table.last.1.W", "table.last.1.b"]
    deeper = [*pairs, (("a", inner),)]
    assert list(Holder(pairs=deeper).named_parameters()) == ["pairs.1000.0.1.W", "pairs.1000.0.1.b"]
