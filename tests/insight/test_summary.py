import numpy as np
import pytest

from minnet import (
    GRU,
    BatchNorm,
    Buffer,
    Concatenate,
    Conv2d,
    Dropout,
    Embedding,
    Flatten,
    LastStep,
    Layer,
    Linear,
    MaxPool2d,
    MeanSquaredError,
    MultiHeadAttention,
    Parameter,
    PositionalEmbedding,
    ReLU,
    Residual,
    Sequential,
    SoftmaxCrossEntropy,
    generator,
    seed,
    summary,
)


class Heads(Layer):
    """Two layers in a list, one in a dict, a parameter of its own, and a layer that is never run."""

    def __init__(self):
        self.scale = Parameter(np.ones(3))
        self.parts = [Linear(4, 3), Linear(4, 3, bias=False)]
        self.last = {"head": Linear(3, 2)}
        self.spare = Linear(7, 7)

    def forward(self, x):
        return self.last["head"](self.scale.data * (self.parts[0](x) + self.parts[1](x)))


def small():
    return Sequential(Linear(64, 32), ReLU(), Linear(32, 10), SoftmaxCrossEntropy())


def table(report):
    return [(row.name, row.shape, row.parameters, row.bytes) for row in report.rows]


# What the table says


def test_a_summary_prints_as_a_table():
    # 64 · 32 + 32 and 32 · 10 + 10 parameters; 4 bytes a number.
    expected = """\
layer                       output shape  parameters  bytes
Sequential(...)             (N, 10)                0      0
  0: Linear(64, 32)         (N, 32)            2,080    128
  1: ReLU()                 (N, 32)                0    128
  2: Linear(32, 10)         (N, 10)              330     40
  3: SoftmaxCrossEntropy()  (N, 10)                0     40
total                                          2,410    336"""
    report = summary(small(), (64,))
    assert str(report) == repr(report) == expected


def test_nested_layers_are_indented_and_a_layer_that_is_not_run_says_so():
    lines = str(summary(Sequential(Heads()), (4,))).splitlines()
    assert lines[1].split() == ["Sequential(...)", "(N,", "2)", "0", "0"]
    assert [line.split() for line in lines[2:]] == [
        ["0:", "Heads()", "(N,", "2)", "3", "0"],
        ["0.parts.0:", "Linear(4,", "3)", "(N,", "3)", "15", "12"],
        ["0.parts.1:", "Linear(4,", "3,", "bias=False)", "(N,", "3)", "12", "12"],
        ["0.last.head:", "Linear(3,", "2)", "(N,", "2)", "8", "8"],
        ["0.spare:", "Linear(7,", "7)", "not", "run", "56", "0"],
        ["total", "94", "32"],
    ]
    assert len({len(line) for line in lines}) == 1
    indents = [len(line) - len(line.lstrip()) for line in lines]
    assert indents[:3] == [0, 0, 2]
    assert indents[3] > 2
    assert indents[-1] == 0


def test_a_convolutional_net_has_the_shapes_counts_and_bytes_found_by_hand():
    model = Sequential(
        Conv2d(1, 6, 5, padding=2), ReLU(), MaxPool2d(2), Conv2d(6, 16, 5), MaxPool2d(2), Flatten(), Linear(400, 10)
    )
    report = summary(model, (28, 28, 1))
    assert table(report) == [
        ("", (10,), 0, 0),
        ("0", (28, 28, 6), 5 * 5 * 1 * 6 + 6, 28 * 28 * 6 * 4),
        ("1", (28, 28, 6), 0, 28 * 28 * 6 * 4),
        ("2", (14, 14, 6), 0, 14 * 14 * 6 * 4),
        ("3", (10, 10, 16), 5 * 5 * 6 * 16 + 16, 10 * 10 * 16 * 4),
        ("4", (5, 5, 16), 0, 5 * 5 * 16 * 4),
        ("5", (400,), 0, 400 * 4),
        ("6", (10,), 4010, 40),
    ]
    assert report.parameters == 156 + 2416 + 4010 == sum(p.data.size for p in model.parameters())
    assert report.bytes == 4 * (2 * 28 * 28 * 6 + 14 * 14 * 6 + 10 * 10 * 16 + 5 * 5 * 16 + 400 + 10)


def test_a_layer_made_of_layers_counts_what_is_its_own_and_not_what_is_inside():
    model = Sequential(Residual(Linear(4, 4), ReLU()), Sequential(Sequential(Linear(4, 2))))
    assert table(summary(model, (4,))) == [
        ("", (2,), 0, 0),
        ("0", (4,), 0, 16),
        ("0.layers", (4,), 0, 0),
        ("0.layers.0", (4,), 20, 16),
        ("0.layers.1", (4,), 0, 16),
        ("1", (2,), 0, 0),
        ("1.0", (2,), 0, 0),
        ("1.0.0", (2,), 10, 8),
    ]


def test_branches_are_rows_of_their_own():
    model = Concatenate(Linear(4, 3), Sequential(Linear(4, 2), ReLU()))
    assert table(summary(model, (5, 4))) == [
        ("", (5, 5), 0, 5 * 5 * 4),
        ("branches.0", (5, 3), 15, 5 * 3 * 4),
        ("branches.1", (5, 2), 0, 0),
        ("branches.1.0", (5, 2), 10, 5 * 2 * 4),
        ("branches.1.1", (5, 2), 0, 5 * 2 * 4),
    ]


def test_a_custom_layer_is_seen_through_its_lists_and_dicts():
    assert table(summary(Heads(), (4,))) == [
        ("", (2,), 3, 0),
        ("parts.0", (3,), 15, 12),
        ("parts.1", (3,), 12, 12),
        ("last.head", (2,), 8, 8),
        ("spare", None, 56, 0),
    ]


def test_a_single_layer_is_a_table_of_one_row():
    report = summary(Linear(3, 2), (3,))
    assert table(report) == [("", (2,), 8, 8)]
    assert (report.parameters, report.bytes) == (8, 8)
    assert str(report).splitlines()[1].split() == ["Linear(3,", "2)", "(N,", "2)", "8", "8"]


def test_every_row_names_its_layer_in_one_line():
    model = Sequential(Sequential(Linear(3, 2)), Residual(ReLU()))
    names = [row.layer for row in summary(model, (3,)).rows]
    assert names[:3] == ["Sequential(...)", "Sequential(...)", "Linear(3, 2)"]
    assert names[-1] == "ReLU()"
    assert not any("\n" in name for name in names)


def test_a_shared_parameter_is_counted_once_where_it_comes_first():
    model = Sequential(Linear(4, 4), ReLU(), Linear(4, 4))
    model[2].W = model[0].W
    report = summary(model, (4,))
    assert [row.parameters for row in report.rows] == [0, 20, 0, 4]
    assert report.parameters == 24 == sum(p.data.size for p in model.parameters())


def test_buffers_are_no_parameters():
    assert [row.parameters for row in summary(BatchNorm(3), (5, 3)).rows] == [6]


def test_bytes_follow_the_dtype_of_the_model():
    assert summary(Linear(3, 2).astype(np.float64), (3,)).bytes == 16


def test_a_parameter_whose_name_begins_like_a_layer_stays_where_it_is():
    class Both(Layer):
        def __init__(self):
            self.w = Linear(2, 3)
            self.w_extra = Parameter(np.zeros(5))

        def forward(self, x):
            return self.w(x)

    assert table(summary(Both(), (2,))) == [("", (3,), 5, 0), ("w", (3,), 9, 12)]


def test_frozen_layers_say_so_and_what_is_trained_is_counted():
    model = small()
    model[0].freeze()
    report = summary(model, (64,))
    assert (report.parameters, report.frozen, report.trained) == (2410, 2080, 330)
    assert [row.layer for row in report.rows][1:3] == ["Linear(64, 32), frozen", "ReLU()"]
    assert [row.frozen for row in report.rows] == [0, 2080, 0, 0, 0]
    assert str(report).splitlines()[-1] == "330 parameters are trained, 2,080 are frozen"
    assert "frozen" not in str(summary(model[0].unfreeze(), (64,)))
    model.freeze()
    assert all(row.layer.endswith(", frozen") for row in summary(model, (64,)).rows)


def test_a_weight_that_is_neither_trained_nor_saved_stands_below_the_table():
    class Dense(Layer):
        def __init__(self):
            self.W = np.random.default_rng().normal(size=(4, 3))

        def forward(self, x):
            return x @ self.W

    report = summary(Sequential(Linear(4, 4), Dense()), (4,))
    sentence = "layer 1, Dense(): W: neither trained nor saved; make it a Parameter, or a Buffer"
    assert report.notes == [sentence] and str(report).splitlines()[-1] == f"- {sentence}"
    assert summary(small(), (64,)).notes == []


def test_a_model_that_takes_zeros_only_has_a_table_all_the_same():
    class OfProbabilities(Layer):
        def __init__(self):
            self.weight = np.ones(3)

        def forward(self, x):
            if (x < 0).any():
                raise ValueError("expected probabilities")
            return x * self.weight

    assert summary(OfProbabilities(), (3,)).notes == []


# What goes in


def test_a_model_of_token_ids_is_given_integers():
    model = Sequential(
        Embedding(11, 8), PositionalEmbedding(6, 8), MultiHeadAttention(8, 2, True), GRU(8, 5), LastStep(), Linear(5, 3)
    )
    assert [(row.shape, row.parameters) for row in summary(model, (6,)).rows] == [
        ((3,), 0),
        ((6, 8), 88),
        ((6, 8), 48),
        ((6, 8), 8 * 24 + 24 + 64 + 8),
        ((6, 5), 15 * 8 + 15 * 5 + 15 + 5),
        ((5,), 0),
        ((3,), 18),
    ]


@pytest.mark.rows(("given", "expected"), [(None, np.float32), (np.float64, np.float64), (np.int64, np.int64)])
def test_the_sample_is_one_of_zeros_in_the_dtype_that_was_asked_for(given, expected):
    seen = []

    class Watch(Layer):
        def forward(self, x):
            seen.append((x.shape, x.dtype, x.any(), self.training))
            return x

    watch = Watch()
    summary(watch, (2, 3), given) if given else summary(watch, (2, 3))
    assert seen == [((1, 2, 3), expected, False, False)]


def test_a_single_number_is_a_sample_too():
    assert table(summary(ReLU(), ())) == [("", (), 0, 4)]


@pytest.mark.rows(
    ("arguments", "text"),
    [
        (
            (small(), np.zeros((1797, 64))),
            r"input_shape to be a tuple, .*, got an array of shape \(1797, 64\); pass x.shape\[1:\]$",
        ),
        ((small(), 64), "input_shape to be a tuple, without the batch axis, got 64$"),
        (((64,), small()), r"model to be a Layer, got \(64,\)$"),
        ((np.zeros((1797, 64)), small()), r"model to be a Layer, got an array of shape \(1797, 64\)$"),
    ],
)
def test_wrong_and_swapped_arguments_are_named_in_a_line(arguments, text):
    with pytest.raises(TypeError, match=f"^summary: expected {text}") as caught:
        summary(*arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.rows("shape", [(5,), (3, 5)])
def test_a_sample_that_does_not_fit_is_the_error_of_the_model(shape):
    with pytest.raises(ValueError, match=r"layer 0, Linear\(4, 3\).*expected x of shape \(\.\.\., 4\)"):
        summary(Sequential(Linear(4, 3), ReLU()), shape)


def test_a_type_error_of_the_model_is_raised_as_it_is():
    class Refuses(Layer):
        def forward(self, x):
            raise TypeError("not today")

    with pytest.raises(TypeError, match="not today"):
        summary(Refuses(), (3,))


# What it leaves alone


def noisy():
    return Sequential(Linear(4, 4, rng=0), BatchNorm(4), Dropout(0.5), Sequential(Linear(4, 2, rng=1)))


def test_the_model_and_its_running_statistics_are_not_touched():
    model = noisy()
    for p in model.parameters():
        p.grad += 1
    before, parameters = model.state_dict(), model.parameters()
    summary(model, (4,))
    after = model.state_dict()
    assert all(np.array_equal(after[name], before[name]) for name in before)
    assert all(a is b and (a.grad == 1).all() for a, b in zip(model.parameters(), parameters))
    assert not any("forward" in vars(layer) for layer in model.walk(Layer).values())


@pytest.mark.rows("training", [True, False])
def test_modes_stay_as_they_were_each_by_itself(training):
    model = noisy().train(training)
    model[3].training = not training
    summary(model, (4,))
    assert [layer.training for layer in model] == [training] * 3 + [not training]


def test_caches_stay_as_they_were():
    model = noisy()
    summary(model, (4,))
    assert not any("cache" in vars(layer) for layer in model.walk(Layer).values())
    x = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    y = model(x)
    summary(model, (4,))
    assert model.backward(np.ones_like(y)).shape == (5, 4)


def test_neither_the_packages_generator_nor_the_models_moves():
    class Noise(Layer):
        def __init__(self):
            self.rng = generator()
            self.own = generator(3)

        def forward(self, x):
            return x + self.rng.normal() + self.own.normal()

    seed(0)
    model = Sequential(Noise(), Dropout(0.5))
    package, own = generator().bit_generator.state, model[0].own.bit_generator.state
    summary(model, (4,))
    assert generator().bit_generator.state == package
    assert model[0].own.bit_generator.state == own


def test_a_model_still_trains_after_its_summary():
    model, plain = small().astype(np.float64), small().astype(np.float64)
    plain.load_state_dict(model.state_dict())
    summary(model, (64,))
    x, y = np.random.default_rng(0).normal(size=(5, 64)), np.arange(5)
    assert model(x, y) == plain(x, y)
    model.backward(), plain.backward()
    assert all(np.array_equal(a.grad, b.grad) and a.grad.any() for a, b in zip(model.parameters(), plain.parameters()))


def test_a_model_of_ones_own_with_a_loss_inside_is_summed_up_as_it_predicts():
    class Own(Layer):
        def __init__(self):
            self.body = Linear(4, 2)
            self.loss = MeanSquaredError()

        def forward(self, x, target=None):
            return self.loss(self.body(x), target)

    assert table(summary(Own(), (4,))) == [("", (2,), 0, 0), ("body", (2,), 10, 8), ("loss", (2,), 0, 8)]


def test_a_part_that_gives_a_number_or_several_arrays_does_not_break_the_table():
    class Statistics(Layer):
        def forward(self, x):
            return float(x.mean()), x.std(axis=0)

    class Penalty(Layer):
        def forward(self, x):
            return float((x * x).sum())

    class Own(Layer):
        def __init__(self):
            self.statistics, self.penalty, self.body = Statistics(), Penalty(), Linear(4, 2)

        def forward(self, x):
            self.penalty(x)
            return self.body(x - self.statistics(x)[0])

    report = summary(Own(), (4,))
    assert [row.name for row in report.rows] == ["", "statistics", "penalty", "body"]
    assert report.rows[3].shape == (2,)
    assert "body: Linear(4, 2)" in str(report)


def test_a_buffer_that_forward_writes_is_written_in_the_copy_alone():
    class Counts(Layer):
        def __init__(self):
            self.calls = Buffer(np.zeros(1))

        def forward(self, x):
            self.calls.data += 1
            return x

    counts = Counts()
    summary(counts, (2,))
    assert counts.calls.data.tolist() == [0]
