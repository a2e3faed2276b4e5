import copy
import inspect
import math
import pickle

import numpy as np
import pytest

from minnet import (
    SGD,
    Adagrad,
    Adam,
    AdamW,
    Linear,
    LogSoftmax,
    MeanSquaredError,
    Parameter,
    RMSprop,
    Sequential,
    SoftmaxCrossEntropy,
)


def parameter(values, dtype=np.float64, decay=True):
    p = Parameter(values, decay=decay)
    p.data = np.array(values, dtype)
    p.grad = np.zeros_like(p.data)
    return p


def pattern(shift, *shape):
    """Eighths between -9/8 and 9/8, which are the same on every machine."""
    i = np.arange(np.prod(shape))
    return (((shift + 7 * i + 3 * i * i) % 19 - 9) / 8).reshape(shape)


def network(dtype=np.float64, shift=0):
    net = Sequential(Linear(4, 6), LogSoftmax(), Linear(6, 3), SoftmaxCrossEntropy()).astype(dtype)
    for i, p in enumerate(net.parameters()):
        p.data[...] = pattern(i + shift, *p.data.shape)
    return net


def batch(i):
    x = pattern(5 * (i % 7), 8, 4) / 2
    y = (x @ pattern(11, 4, 3)).argmax(axis=1)
    y[:2] = i % 3, (i + 1) % 3
    return x, y


def train(net, optimizer, steps):
    for i in steps:
        net(*batch(i))
        net.backward()
        optimizer.step()


def moved(optimizer, p, *gradients):
    """The value of p after a step on each of the gradients."""
    for g in gradients:
        p.grad += g
        optimizer.step()
    return p.data.tolist()


def falling(step):
    return 0.05 / (1 + step / 50)


KINDS = [SGD, RMSprop, Adagrad, Adam, AdamW]
every_kind = pytest.mark.rows("kind", KINDS)

# PyTorch gives these in float64 for one weight or bias of each parameter after 200 steps, with the biases in a group
# without decay; with clip_norm, from gradients that were multiplied by clip_norm / norm where the norm was larger, that
# is without the 1e-6 that its own clipping adds to the norm.
TRAJECTORIES = [
    (SGD, {"lr": 0.1}, [-1.0065003322405, 0.2572532224167, -0.0430982160554, 0.6906966045716]),
    (SGD, {"lr": 0.1, "momentum": 0.9}, [-1.4458723055523, -0.1243337771163, -0.3625771594668, 1.1566538787195]),
    (
        SGD,
        {"lr": 0.1, "momentum": 0.5, "nesterov": True},
        [-1.1097694122973, 0.1536250141033, 0.0448837152587, 0.7900246350401],
    ),
    (SGD, {"lr": 0.1, "weight_decay": 0.05}, [-0.4053734538156, 0.2192038640097, -0.0670275535743, 0.666156827754]),
    (SGD, {"lr": 0.1, "clip_norm": 1.0}, [-0.986982104518, 0.297028969161, -0.1098919572461, 0.6621050198813]),
    (SGD, {"lr": falling}, [-0.953828774931, 0.2991518568915, -0.1510137638085, 0.6391163137428]),
    (
        SGD,
        {"lr": falling, "momentum": 0.9, "nesterov": True, "weight_decay": 0.05, "clip_norm": 1.0},
        [-0.1969389951392, 0.271669906622, -0.0859623678225, 0.6763023393921],
    ),
    (RMSprop, {}, [-0.2289021795452, 0.4818207168999, -0.1539032193367, 0.7671551279829]),
    (RMSprop, {"alpha": 0.9}, [-0.2982286139038, 0.4797538826809, -0.1753379022351, 0.7558545920499]),
    (RMSprop, {"eps": 0.01}, [-0.5963447320464, 0.4646608415245, -0.1662687289771, 0.7620681488804]),
    (RMSprop, {"momentum": 0.7}, [0.2515553845166, 0.3982904483542, -0.0736903222062, 0.9037266716863]),
    (RMSprop, {"weight_decay": 0.05}, [0.1301249364488, 0.425877141371, -0.1796673584647, 0.7311605283503]),
    (RMSprop, {"clip_norm": 1.0}, [-0.134258129947, 0.4831411451168, -0.1254379495416, 0.7963282517903]),
    (RMSprop, {"lr": falling}, [0.2249926952456, 0.2675445406034, -0.0331767865743, 0.7923280582052]),
    (
        RMSprop,
        {"lr": falling, "alpha": 0.9, "eps": 0.01, "momentum": 0.7, "weight_decay": 0.05, "clip_norm": 1.0},
        [0.0055549584177, -0.0626226862802, -0.0899989827464, 0.7317589245294],
    ),
    (Adagrad, {}, [-0.8589282659808, 0.4535307657719, -0.2946715790986, 0.7128785658723]),
    (Adagrad, {"eps": 0.1}, [-0.8964997482056, 0.4364967749789, -0.2954420372665, 0.7074969718644]),
    (Adagrad, {"weight_decay": 0.05}, [-0.7825356985559, 0.4518616056112, -0.2941011666585, 0.71270183166]),
    (Adagrad, {"clip_norm": 1.0}, [-0.814443904353, 0.4879361198776, -0.2742164171821, 0.7439714900994]),
    (Adagrad, {"lr": falling}, [-0.6979529879826, 0.4975826667411, -0.2214397906979, 0.760860330327]),
    (
        Adagrad,
        {"lr": falling, "eps": 0.1, "weight_decay": 0.05, "clip_norm": 1.0},
        [-0.5565805569197, 0.4032351630177, -0.2121333836259, 0.7361483409843],
    ),
    (Adam, {}, [-0.8854796708054, 0.4143429123881, -0.3369281731663, 0.6743764788477]),
    (Adam, {"betas": (0.8, 0.95)}, [-0.8760095192406, 0.4136442541454, -0.3173472050694, 0.6765967853495]),
    (Adam, {"betas": (0.0, 0.9)}, [-0.8818330925636, 0.4089596256596, -0.31413601638, 0.6739574014249]),
    (Adam, {"eps": 0.01}, [-0.9041055262279, 0.4058848196959, -0.3372965524966, 0.6716455376938]),
    (Adam, {"weight_decay": 0.05}, [-0.8326203189549, 0.413255149758, -0.336286347545, 0.6743310244444]),
    (Adam, {"clip_norm": 1.0}, [-0.8629632374881, 0.4459500176771, -0.3173542949639, 0.7027489056698]),
    (Adam, {"lr": falling}, [-0.1173093805311, 0.4452541723801, -0.1561060987883, 0.7969342861721]),
    (
        Adam,
        {"lr": falling, "betas": (0.8, 0.95), "eps": 0.01, "weight_decay": 0.05, "clip_norm": 1.0},
        [0.0539280402569, 0.4285698050308, -0.1459100087503, 0.7508457683345],
    ),
    (AdamW, {}, [-0.8836692619966, 0.41425187224, -0.3361784735662, 0.6743403827998]),
    (AdamW, {"weight_decay": 0.0}, [-0.8854796708054, 0.4143429123881, -0.3369281731663, 0.6743764788477]),
    (AdamW, {"lr": 0.01, "weight_decay": 0.5}, [0.0211005386786, 0.4780495797311, -0.1129931175479, 0.7411561658705]),
    (AdamW, {"lr": falling}, [-0.0887324651906, 0.4427713770792, -0.1527247306921, 0.7949214831813]),
    (
        AdamW,
        {"lr": falling, "betas": (0.8, 0.95), "eps": 0.01, "weight_decay": 0.5, "clip_norm": 1.0},
        [0.0319434318251, 0.4157811699254, -0.0791495460164, 0.7346067283031],
    ),
]
every_option = pytest.mark.rows(
    ("kind", "options"),
    [(kind, options) for kind, options, _ in TRAJECTORIES],
    ids=[f"{kind.__name__}-{'-'.join(options)}" for kind, options, _ in TRAJECTORIES],
)


@pytest.mark.rows(("kind", "options", "expected"), TRAJECTORIES)
def test_two_hundred_steps_lead_where_pytorchs_do(kind, options, expected):
    net = network()
    train(net, kind(net.parameters(), **options), range(200))
    first, _, second, _ = net
    got = [first.W.data[1, 2], first.b.data[3], second.W.data[4, 0], second.b.data[1]]
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-10)


@pytest.mark.rows(("kind", "options", "expected"), [row for row in TRAJECTORIES if len(row[1]) > 3])
def test_two_hundred_steps_in_float32_lead_nearly_there(kind, options, expected):
    net = network(np.float32)
    train(net, kind(net.parameters(), **options), range(200))
    first, _, second, _ = net
    got = [first.W.data[1, 2], first.b.data[3], second.W.data[4, 0], second.b.data[1]]
    np.testing.assert_allclose(got, expected, rtol=0, atol=2e-5)


@pytest.mark.rows(
    ("kind", "expected"),
    [
        (SGD, "lr, momentum=0.0, nesterov=False, weight_decay=0.0, clip_norm=None"),
        (RMSprop, "lr=0.01, alpha=0.99, eps=1e-08, momentum=0.0, weight_decay=0.0, clip_norm=None"),
        (Adagrad, "lr=0.01, eps=1e-10, weight_decay=0.0, clip_norm=None"),
        (Adam, "lr=0.001, betas=(0.9, 0.999), eps=1e-08, weight_decay=0.0, clip_norm=None"),
        (AdamW, "lr=0.001, betas=(0.9, 0.999), eps=1e-08, weight_decay=0.01, clip_norm=None"),
    ],
)
def test_arguments_and_their_defaults_are_those_of_pytorch(kind, expected):
    found = [str(p.replace(annotation=p.empty)) for p in inspect.signature(kind).parameters.values()]
    assert ", ".join(found) == f"parameters, {expected}"


# Any of them


@every_option
@pytest.mark.rows("dtype, block", [(np.float32, 7), (np.float64, 1)])
def test_blocks_of_any_size_give_the_same_bytes(kind, options, dtype, block, monkeypatch):
    whole, parted = network(dtype), network(dtype)
    first, second = kind(whole.parameters(), **options), kind(parted.parameters(), **options)
    train(whole, first, range(4))
    monkeypatch.setattr("minnet.optimizers.optimizer.BLOCK", block)
    train(parted, second, range(4))
    for got, expected in zip(parted.parameters(), whole.parameters(), strict=True):
        assert got.data.tobytes() == expected.data.tobytes()
    np.testing.assert_equal(second.state_dict(), first.state_dict())


@every_kind
def test_a_long_vector_is_updated_like_many_short_ones(kind, monkeypatch):
    rng = np.random.default_rng(0)
    start, gradients = rng.normal(size=100_003), rng.normal(size=(2, 100_003))
    p, q = parameter(start), parameter(start)
    parted, whole = kind([p], lr=0.1), kind([q], lr=0.1)
    for g in gradients:
        moved(parted, p, g)
    monkeypatch.setattr("minnet.optimizers.optimizer.BLOCK", 10**9)
    for g in gradients:
        moved(whole, q, g)
    assert p.data.tobytes() == q.data.tobytes() != start.tobytes()


@every_option
def test_a_resumed_run_is_the_run_to_the_bit(kind, options):
    straight, stopped, resumed = network(np.float32), network(np.float32), network(np.float32, shift=9)
    train(straight, end := kind(straight.parameters(), **options), range(10))
    train(stopped, before := kind(stopped.parameters(), **options), range(4))
    saved = stopped.state_dict(), before.state_dict()
    train(stopped, before, range(20, 23))
    after = kind(resumed.parameters(), **options)
    train(resumed, after, range(30, 33))
    resumed.load_state_dict(saved[0])
    after.load_state_dict(saved[1])
    np.testing.assert_equal(after.state_dict(), saved[1])
    train(resumed, after, range(4, 10))
    np.testing.assert_equal(resumed.state_dict(), straight.state_dict())
    np.testing.assert_equal(after.state_dict(), end.state_dict())


@every_option
def test_the_state_is_the_number_of_steps_and_one_array_a_moment(kind, options):
    net = network(np.float32)
    optimizer = kind(net.parameters(), **options)
    train(net, optimizer, range(2))
    state = optimizer.state_dict()
    assert state.pop("steps") == 2
    heavy = "momentum" in options
    assert (
        list(state)
        == {
            SGD: ["v"] if heavy else [],
            RMSprop: ["v", "u"] if heavy else ["v"],
            Adagrad: ["v"],
            Adam: ["m", "v"],
            AdamW: ["m", "v"],
        }[kind]
    )
    for array in state.values():
        assert array.dtype == np.float32 and array.shape == (51,) and array.any()


@every_option
@pytest.mark.rows("dtype", [np.float32, np.float64])
def test_everything_keeps_the_dtype_of_the_model(kind, options, dtype):
    net = network(dtype)
    optimizer = kind(net.parameters(), **options)
    train(net, optimizer, range(2))
    arrays = [array for p in net.parameters() for array in (p.data, p.grad)]
    moments = [value for name, value in optimizer.state_dict().items() if name != "steps"]
    assert {array.dtype for array in arrays + moments} == {np.dtype(dtype)}


@every_option
def test_a_step_spends_the_gradients_and_is_counted_once(kind, options):
    net = network()
    optimizer = kind(net.parameters(), **options)
    for i in range(3):
        train(net, optimizer, [i])
        assert not any(p.grad.any() for p in net.parameters())
        assert optimizer.state_dict()["steps"] == i + 1


@every_option
@pytest.mark.rows("again", [copy.deepcopy, lambda both: pickle.loads(pickle.dumps(both))], ids=["deepcopy", "pickle"])
def test_a_model_and_its_optimizer_copied_together_train_on(kind, options, again):
    net = network()
    optimizer = kind(net.parameters(), **options)
    train(net, optimizer, range(2))
    twin, its_optimizer = again((net, optimizer))
    before = net.state_dict()
    train(twin, its_optimizer, range(2, 4))
    np.testing.assert_equal(net.state_dict(), before)
    train(net, optimizer, range(2, 4))
    np.testing.assert_equal(twin.state_dict(), net.state_dict())


@every_kind
def test_one_optimizer_of_all_layers_does_what_one_for_each_does(kind):
    together, apart = network(), network()
    optimizer = kind(together.parameters(), lr=0.1, weight_decay=0.1)
    first, second = (kind(apart[i].parameters(), lr=0.1, weight_decay=0.1) for i in (0, 2))
    for i in range(5):
        train(together, optimizer, [i])
        train(apart, first, [i])
        second.step()
    np.testing.assert_equal(apart.state_dict(), together.state_dict())


@every_kind
def test_nothing_is_clipped_by_default(kind):
    values = [
        moved(kind([p := parameter([0.0])], lr=0.1, clip_norm=clip_norm), p, 1e6, 1.0) for clip_norm in (None, 1e6, 2.0)
    ]
    assert values[0] == values[1] != values[2]
    p = parameter([0.0])
    assert moved(kind([p], lr=0.1), p, 1e6, 1.0) == values[0]


@every_kind
def test_a_schedule_moves_by_itself(kind):
    p, q = parameter([1.0]), parameter([1.0])
    scheduled, plain = kind([p], lr=lambda step: 0.5 / 2**step), kind([q], lr=0.5)
    for step in range(4):
        plain.lr = 0.5 / 2**step
        assert moved(scheduled, p, 3.0) == moved(plain, q, 3.0)


@every_kind
def test_a_parameter_that_never_gets_a_gradient_stays_where_it_is(kind):
    p, q = parameter([1.5, -2.0], np.float32, decay=False), parameter([1.0], np.float32)
    optimizer = kind([p, q], lr=0.1, weight_decay=0.1)
    for _ in range(5):
        q.grad += 1.0
        optimizer.step()
    assert p.data.tolist() == [1.5, -2.0]
    assert q.data[0] < 1


@every_kind
def test_weight_decay_leaves_biases_alone(kind):
    net, plain = network(), network()
    train(net, kind(net.parameters(), lr=0.1, weight_decay=0.5), [0])
    train(plain, kind(plain.parameters(), lr=0.1, weight_decay=0.0), [0])
    for with_decay, without in zip(net.parameters(), plain.parameters()):
        assert np.array_equal(with_decay.data, without.data) is not with_decay.decay


@every_kind
def test_the_moments_lie_in_the_order_of_the_parameters(kind):
    options = {"momentum": 0.5} if kind in (SGD, RMSprop) else {}
    p, q = parameter([[1.0, 2.0], [3.0, 4.0]]), parameter([5.0])
    optimizer = kind([p, q], lr=0.1, **options)
    p.grad += [[0.0, 0.0], [2.0, 0.0]]
    optimizer.step()
    for name, moment in optimizer.state_dict().items():
        if name != "steps":
            assert np.flatnonzero(moment).tolist() == [2]


@every_kind
@pytest.mark.rows("bad", [math.nan, -0.1, math.inf])
def test_a_schedule_that_gives_no_learning_rate_changes_nothing(kind, bad):
    p = parameter([1.0])
    optimizer = kind([p], lambda step: bad if step else 0.5, weight_decay=0.1, clip_norm=1.0)
    moved(optimizer, p, 2.0)
    before = optimizer.state_dict(), p.data.copy()
    p.grad += 2.0
    with pytest.raises(ValueError, match=f"{kind.__name__}: expected lr to be"):
        optimizer.step()
    np.testing.assert_equal(optimizer.state_dict(), before[0])
    assert (p.data, p.grad) == (before[1], [2.0])


@every_kind
def test_a_state_of_another_length_is_refused_and_changes_nothing(kind):
    options = {"momentum": 0.5} if kind is SGD else {}
    small, large = kind([parameter([1.0])], lr=0.1, **options), kind([parameter([1.0, 2.0])], lr=0.1, **options)
    before = small.state_dict()
    with pytest.raises(ValueError, match=rf"{kind.__name__}: the state does not fit.*\(2,\), expected \(1,\)"):
        small.load_state_dict(large.state_dict() | {"steps": 3})
    np.testing.assert_equal(small.state_dict(), before)


def test_the_states_of_different_kinds_do_not_fit():
    states = {kind: kind([parameter([1.0])], lr=0.1).state_dict() for kind in (SGD, RMSprop, Adam)}
    for kind in states:
        for other in states.keys() - {kind}:
            with pytest.raises(ValueError, match="the state does not fit, nothing was loaded"):
                kind([parameter([1.0])], lr=0.1).load_state_dict(states[other])


@every_kind
def test_training_lowers_the_loss(kind):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 4)).astype(np.float32)
    y = x @ np.array([[1.0], [-2.0], [3.0], [0.5]], np.float32)
    net = Sequential(Linear(4, 1, rng=0), MeanSquaredError())
    options = {"momentum": 0.9} if kind is SGD else {"weight_decay": 0.0}
    start = 0.1 if kind is SGD else 1.0
    optimizer = kind(net.parameters(), lr=lambda step: start * 0.985**step, **options)
    for _ in range(400):
        loss = net(x, y)
        net.backward()
        optimizer.step()
    assert loss < 1e-4


# Numbers that are refused

NUMBERS = [
    (SGD, "momentum", True),
    (RMSprop, "alpha", True),
    (RMSprop, "eps", False),
    (RMSprop, "momentum", True),
    (Adagrad, "eps", False),
    (Adam, "eps", False),
    (AdamW, "eps", False),
    *((kind, name, False) for kind in KINDS for name in ("lr", "weight_decay", "clip_norm")),
]


@pytest.mark.rows(("kind", "name", "below_1"), NUMBERS)
def test_a_number_out_of_range_is_refused_by_name(kind, name, below_1):
    expected = "at least 0 and below 1" if below_1 else "at least 0 and finite"
    for value in (-1e-9, -1, math.nan, math.inf, -math.inf, np.float32("nan"), *((1, 1.0, 1.5) if below_1 else ())):
        with pytest.raises(ValueError, match=f"{kind.__name__}: expected {name} to be {expected}, got"):
            kind([parameter([1.0])], **{"lr": 0.1, name: value})


@pytest.mark.rows(("kind", "name", "below_1"), NUMBERS)
def test_what_is_not_a_number_is_refused_by_name(kind, name, below_1):
    for value in ("0.1", True, np.True_, [0.1], 0.1j, np.array([0.1]), *(() if name == "clip_norm" else (None,))):
        with pytest.raises(TypeError, match=f"{kind.__name__}: expected {name} to be a number"):
            kind([parameter([1.0])], **{"lr": 0.1, name: value})


@pytest.mark.rows("kind", [Adam, AdamW])
@pytest.mark.rows(
    ("betas", "error"),
    [
        ((1.0, 0.9), ValueError),
        ((0.9, 1), ValueError),
        ((-0.1, 0.9), ValueError),
        ((0.9, math.nan), ValueError),
        (("a", 0.9), TypeError),
        ((0.9, None), TypeError),
        ((True, 0.9), TypeError),
    ],
)
def test_betas_out_of_range_are_refused(kind, betas, error):
    with pytest.raises(error, match=f"{kind.__name__}: expected .*betas"):
        kind([parameter([1.0])], betas=betas)


@pytest.mark.rows("kind", [Adam, AdamW])
@pytest.mark.rows(
    ("betas", "error"),
    [(0.9, TypeError), (None, TypeError), ((), ValueError), ((0.9,), ValueError), ((0.9, 0.99, 0.999), ValueError)],
)
def test_betas_that_are_not_two_are_refused_at_once(kind, betas, error):
    with pytest.raises(error, match=f"{kind.__name__}: expected .*betas"):
        kind([parameter([1.0])], betas=betas)


@every_kind
def test_a_refused_optimizer_leaves_the_parameters_where_they_were(kind):
    net = network()
    arrays = [(p.data, p.grad) for p in net.parameters()]
    for bad in [{"lr": -1}, {"weight_decay": math.nan}, {"clip_norm": "a"}]:
        with pytest.raises((TypeError, ValueError)):
            kind(net.parameters(), **{"lr": 0.1} | bad)
    assert all(p.data is data and p.grad is grad for p, (data, grad) in zip(net.parameters(), arrays))


# SGD


def test_a_step_subtracts_lr_times_the_gradient():
    p = parameter([1.0, 2.0])
    optimizer = SGD([p], lr=0.5)
    p.grad += [4.0, -2.0]
    optimizer.step()
    np.testing.assert_array_equal(p.data, [-1.0, 3.0])


GRADIENTS = [([1.0, -2.0], [3.0]), ([0.5, 0.25], [-1.0]), ([-4.0, 1.0], [0.5]), ([0.1, 0.2], [0.3])]

# PyTorch gives these for w = (1, -0.5) and b = (2), of which w decays, after the four gradients above, with lr = 0.2,
# or with lr = 0.2 / (step + 1) where there is a schedule.
SHORT = [  # momentum, nesterov, weight_decay, clip_norm, schedule, (w, b)
    (0.0, False, 0.0, None, False, [1.48, -0.39, 1.44]),
    (0.9, False, 0.0, None, False, [1.5412, 0.3201, 0.2286]),
    (0.9, True, 0.0, None, False, [1.96708, 0.34809, -0.15426]),
    (0.0, False, 0.1, None, False, [1.40208976, -0.36872728, 1.44]),
    (0.9, False, 0.1, None, False, [1.39292416, 0.34429952, 0.2286]),
    (0.9, True, 0.1, None, False, [1.779522286096, 0.328767335912, -0.15426]),
    (0.0, False, 0.0, 1.0, False, [1.03187800456, -0.524893401399, 1.930140292698]),
    (0.9, False, 0.0, 1.0, False, [0.925602685666, -0.382122753468, 1.815882660745]),
    (0.9, True, 0.0, 1.0, False, [0.964920421659, -0.41880387952, 1.764434687368]),
    (0.0, False, 0.1, 1.0, False, [0.956993805535, -0.489672948589, 1.930140292698]),
    (0.9, False, 0.1, 1.0, False, [0.762379832538, -0.309173555259, 1.815882660745]),
    (0.9, True, 0.1, 1.0, False, [0.760509875398, -0.334136761732, 1.764434687368]),
    (0.0, False, 0.0, None, True, [1.011666666667, -0.201666666667, 1.451666666667]),
    (0.9, False, 0.0, None, True, [0.960966666667, 0.089108333333, 0.988316666667]),
    (0.9, True, 0.0, None, True, [0.976536666667, 0.328530833333, 0.541151666667]),
    (0.0, False, 0.1, None, True, [0.97413174, -0.18910597, 1.451666666667]),
    (0.9, False, 0.1, None, True, [0.89636544, 0.10865168, 0.988316666667]),
    (0.9, True, 0.1, None, True, [0.891859712154, 0.337989678713, 0.541151666667]),
    (0.0, False, 0.0, 1.0, True, [0.962109998805, -0.440968744996, 1.903904656007]),
    (0.9, False, 0.0, 1.0, True, [0.913359859615, -0.377279791563, 1.841528974585]),
    (0.9, True, 0.0, 1.0, True, [0.884133872458, -0.330520557403, 1.761280733133]),
    (0.0, False, 0.1, 1.0, True, [0.92236016151, -0.422391561298, 1.903904656007]),
    (0.9, False, 0.1, 1.0, True, [0.843112993694, -0.344977684239, 1.841528974585]),
    (0.9, True, 0.1, 1.0, True, [0.785953574456, -0.288529244587, 1.761280733133]),
]


@pytest.mark.rows("dtype, digits", [(np.float64, 1e-11), (np.float32, 1e-5)])
@pytest.mark.rows("momentum, nesterov, weight_decay, clip_norm, schedule, expected", SHORT)
def test_four_steps_of_sgd_lead_where_pytorchs_do(
    momentum, nesterov, weight_decay, clip_norm, schedule, expected, dtype, digits
):
    w, b = parameter([1.0, -0.5], dtype), parameter([2.0], dtype, decay=False)
    lr = (lambda step: 0.2 / (step + 1)) if schedule else 0.2
    optimizer = SGD([w, b], lr, momentum, nesterov, weight_decay, clip_norm)
    for of_w, of_b in GRADIENTS:
        w.grad += np.array(of_w, dtype)
        b.grad += np.array(of_b, dtype)
        optimizer.step()
    tolerance = max(digits, 1e-6 if clip_norm else 0)  # PyTorch adds 1e-6 to the norm before it divides by it
    np.testing.assert_allclose([*w.data, *b.data], expected, rtol=tolerance, atol=tolerance)


def test_steps_without_a_gradient_go_on_with_the_momentum():
    p = parameter([0.0])
    optimizer = SGD([p], lr=1.0, momentum=0.5)
    p.grad += 8.0
    for _ in range(3):
        optimizer.step()
    np.testing.assert_array_equal(p.data, [-8.0 - 4.0 - 2.0])


def test_nesterovs_momentum_looks_ahead():
    p, q = parameter([0.0]), parameter([0.0])
    assert moved(SGD([p], lr=1.0, momentum=0.5), p, 8.0, 4.0) == [-16.0]  # v = 8, then 8
    assert moved(SGD([q], lr=1.0, momentum=0.5, nesterov=True), q, 8.0, 4.0) == [-20.0]  # 8 + 4, then 4 + 4


def test_the_learning_rate_stays_outside_of_the_momentum():
    p = parameter([0.0])
    assert moved(SGD([p], lr=lambda step: [1.0, 0.25][step], momentum=0.5), p, 8.0, 0.0) == [-9.0]


def test_nesterov_without_momentum_is_refused():
    with pytest.raises(ValueError, match="SGD: nesterov needs a momentum"):
        SGD([parameter([1.0])], lr=0.1, nesterov=True)


# RMSprop


def test_rmsprop_divides_by_the_root_of_the_mean_square():
    p = parameter([0.0])
    # v = ¼ · 16 = 4, then ¾ · 4 + ¼ · 4 = 4: steps of 4/2 and 2/2.
    assert moved(RMSprop([p], lr=1.0, alpha=0.75, eps=0.0), p, 4.0, 2.0) == [-3.0]


def test_the_momentum_of_rmsprop_adds_up_steps():
    p = parameter([0.0])
    # Steps of 2, then of 2/2 + 1.
    assert moved(RMSprop([p], lr=1.0, alpha=0.75, eps=0.0, momentum=0.5), p, 4.0, 2.0) == [-4.0]
    q = parameter([0.0])
    assert moved(RMSprop([q], lambda step: [1.0, 0.25][step], 0.75, 0.0, 0.5), q, 4.0, 2.0) == [-2.5]


def test_weight_decay_of_rmsprop_is_part_of_the_gradient():
    p = parameter([8.0])
    # g = 1 + ⅜ · 8 = 4
    assert moved(RMSprop([p], lr=1.0, alpha=0.75, eps=0.0, weight_decay=0.375), p, 1.0) == [6.0]


# Adagrad


def test_adagrad_divides_by_the_root_of_the_sum_of_squares():
    p = parameter([0.0])
    assert moved(Adagrad([p], lr=1.0, eps=0.0), p, 3.0, 4.0) == pytest.approx([-(3 / 3 + 4 / 5)], rel=1e-15)


def test_steps_of_adagrad_on_the_same_gradient_fall_with_the_root_of_their_number():
    p = parameter([0.0])
    assert moved(Adagrad([p], lr=1.0), p, *[7.0] * 4) == pytest.approx(
        [-(1 + 1 / math.sqrt(2) + 1 / math.sqrt(3) + 1 / 2)], rel=1e-9
    )


# Adam


@pytest.mark.rows("kind", [Adam, AdamW])
@pytest.mark.rows("betas", [(0.9, 0.999), (0.5, 0.75), (0.0, 0.0), (0.99, 0.9)])
@pytest.mark.rows("g", [1e-3, -3.0, 1e6])
def test_the_first_step_of_adam_is_free_of_bias(kind, betas, g):
    p = parameter([0.0])
    # Whatever the betas, the corrected means of one gradient are itself and its square.
    assert moved(kind([p], lr=0.25, betas=betas, eps=0.0), p, g) == pytest.approx([-math.copysign(0.25, g)], rel=1e-12)


@pytest.mark.rows("kind", [Adam, AdamW])
def test_the_second_step_of_adam_is_free_of_bias(kind):
    p = parameter([0.0])
    optimizer = kind([p], lr=1.0, betas=(0.5, 0.75), eps=0.0, weight_decay=0.0)
    # m = 2, v = 4, as are m̂ and v̂; then m = 1 − 2, v = 3 + 4 and m̂ = −1 / (3/2), v̂ = 7 / (7/4): steps of 1 and −⅓.
    assert moved(optimizer, p, 2.0) == pytest.approx([-1.0], rel=1e-15)
    assert moved(optimizer, p, -2.0) == pytest.approx([-2 / 3], rel=1e-15)
    state = optimizer.state_dict()
    assert (state["steps"], state["m"][0], state["v"][0]) == (2, -1.0, 7.0)


@pytest.mark.rows("kind", [Adam, AdamW])
def test_every_step_of_adam_on_the_same_gradient_is_the_learning_rate(kind):
    p = parameter([0.0])
    optimizer = kind([p], lr=0.5, weight_decay=0.0)
    for step in range(1, 6):
        assert moved(optimizer, p, 3.0) == pytest.approx([-0.5 * step], rel=1e-8)


def test_the_epsilon_stands_outside_of_the_root():
    # √16 + 4 halves the step; inside of the root, 16 + 4 would make it 4/√20.
    for kind, options in [(RMSprop, {"alpha": 0.0}), (Adagrad, {}), (Adam, {}), (AdamW, {"weight_decay": 0.0})]:
        p = parameter([0.0])
        assert moved(kind([p], lr=1.0, eps=4.0, **options), p, 4.0) == pytest.approx([-0.5], rel=1e-15)


def test_the_epsilon_of_adam_is_added_after_the_bias_is_taken_away():
    p = parameter([0.0])
    # Twice the same gradient: m = 6 and v = 28 are sums of weights 3/2 and 7/4, m̂ = 4 and v̂ = 16 are means.
    assert moved(Adam([p], lr=1.0, betas=(0.5, 0.75), eps=4.0), p, 4.0, 4.0) == pytest.approx([-1.0], rel=1e-15)


def test_adam_takes_steps_of_the_same_size_on_gradients_of_any_scale():
    for scale in (1e-4, 1e4):
        p, q = parameter([0.0]), parameter([0.0])
        gradients = [1.0, -0.5, 2.0, 0.25]
        expected = moved(Adam([p], lr=0.1, eps=0.0), p, *gradients)
        assert moved(Adam([q], lr=0.1, eps=0.0), q, *(scale * g for g in gradients)) == pytest.approx(
            expected, rel=1e-9
        )


def test_betas_may_be_any_pair():
    for betas in ([0.5, 0.75], np.array([0.5, 0.75]), (np.float32(0.5), 0.75)):
        p = parameter([0.0], np.float32)
        moved(Adam([p], betas=betas), p, 1.0)
        assert p.data.dtype == np.float32


# AdamW


def test_the_decay_of_adamw_is_not_seen_by_its_means():
    p = parameter([8.0])
    optimizer = AdamW([p], lr=lambda step: [0.5, 0.25][step], weight_decay=0.2)
    # Without a gradient, w shrinks by lr λ and nothing else: 8 · 0.9 · 0.95.
    assert moved(optimizer, p, 0.0, 0.0) == pytest.approx([6.84], rel=1e-15)
    assert not optimizer.state_dict()["m"].any() and not optimizer.state_dict()["v"].any()


def test_the_decay_of_adam_is_part_of_the_gradient():
    p = parameter([8.0])
    optimizer = Adam([p], lr=0.5, betas=(0.5, 0.75), eps=0.0, weight_decay=0.25)
    # g = ¼ · 8 = 2, and the first step is lr whatever g is.
    assert moved(optimizer, p, 0.0) == [7.5]
    assert (optimizer.state_dict()["m"][0], optimizer.state_dict()["v"][0]) == (2.0, 4.0)


def test_adamw_decays_before_it_steps_and_only_what_decays():
    p, q = parameter([8.0]), parameter([8.0], decay=False)
    optimizer = AdamW([p, q], lr=0.5, eps=0.0, weight_decay=0.5)
    p.grad += 3.0
    q.grad += 3.0
    optimizer.step()
    np.testing.assert_allclose([*p.data, *q.data], [8 * 0.75 - 0.5, 8 - 0.5], rtol=1e-15)
    q.decay = True
    optimizer.step()
    assert q.data[0] < 7.5 * 0.75


def test_clipping_does_not_weaken_the_decay_of_adamw():
    values = []
    for clip_norm in (None, 1e-3):
        p = parameter([8.0])
        values.append(moved(AdamW([p], lr=0.5, eps=0.0, weight_decay=0.5, clip_norm=clip_norm), p, 3.0))
    assert values[0] == pytest.approx(values[1], rel=1e-12) == [5.5]


def test_adamw_without_decay_is_adam():
    first, second = network(), network()
    train(first, Adam(first.parameters(), lr=0.01), range(5))
    train(second, AdamW(second.parameters(), lr=0.01, weight_decay=0.0), range(5))
    np.testing.assert_equal(second.state_dict(), first.state_dict())
