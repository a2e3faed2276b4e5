import numpy as np
import pytest

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


def test_seed_restarts_the_generator_in_place_for_all_who_hold_it():
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


@pytest.mark.parametrize("bad", [1.0, "1", True, None, [1]])
def test_a_seed_that_is_no_int_is_a_type_error(bad):
    before = generator().bit_generator.state
    with pytest.raises(TypeError, match="expected a seed"):
        seed(bad)
    assert generator().bit_generator.state == before


@pytest.mark.parametrize("bad", [1.5, "1", False, [1], np.random.PCG64(0)])
def test_an_rng_of_another_kind_is_a_type_error(bad):
    with pytest.raises(TypeError, match="expected a seed"):
        generator(bad)


def test_a_negative_seed_is_a_value_error():
    with pytest.raises(ValueError, match="at least 0, got -1"):
        seed(-1)
    with pytest.raises(ValueError, match="at least 0, got -2"):
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
