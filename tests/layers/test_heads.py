"""What attention does in each head."""

import numpy as np
import pytest

from minnet.layers.heads import Past, attend, attend_once, expect_heads, keys_within, split_heads


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def test_heads_are_views_of_neighbouring_columns_part_after_part():
    rows = np.arange(2 * 3 * 8.0).reshape(6, 8)
    split = split_heads(rows, T=3, heads=2, parts=2)
    assert split.shape == (2, 2, 2, 3, 2) and np.shares_memory(split, rows)
    assert split[1, 0, 1, 2].tolist() == rows[2, 6:8].tolist()
    assert split[0, 1, 0, 0].tolist() == rows[3, 0:2].tolist()


def test_keys_behind_the_end_are_not_seen_and_all_of_an_empty_sequence():
    seen = keys_within(np.array([1, 3, 0]), 3)
    assert seen[:, 0, :, 0].tolist() == [[True, False, False], [True] * 3, [True] * 3]


def test_one_query_takes_what_attend_gives_it_among_others():
    q, k, v = random(2, 3, 4, 5), random(2, 3, 6, 5, seed=1), random(2, 3, 6, 5, seed=2)
    o, queries = np.empty((2, 3, 4, 5)), q.copy()
    p = attend(queries, k, v, [], o)
    np.testing.assert_allclose(p.sum(axis=2), np.ones((2, 3, 4)), rtol=1e-12)
    for t in range(4):
        np.testing.assert_allclose(attend_once(q[:, :, t, :, None], k, v)[:, :, 0], o[:, :, t], rtol=1e-10, atol=1e-13)


def test_a_key_that_is_not_seen_has_no_weight_at_all():
    q, k, v = random(1, 1, 2, 3), random(1, 1, 4, 3), random(1, 1, 4, 3)
    p = attend(q, k, v, [np.array([True, False, True, True])[:, None]], np.empty((1, 1, 2, 3)))
    assert not p[0, 0, 1].any() and p[0, 0, [0, 2, 3]].all()


def test_a_past_never_changes_and_shares_its_room_until_two_follow_it():
    first = Past.empty(1, 1, 2, np.dtype(float)).followed_by(np.full((2, 1, 1, 2), 1.0))
    second = first.followed_by(np.full((2, 1, 1, 2), 2.0))
    other = first.followed_by(np.full((2, 1, 1, 2), 3.0))
    assert second.kv is first.kv and other.kv is not first.kv
    for past, expected in ((first, [1]), (second, [1, 2]), (other, [1, 3])):
        assert past.kv[0, 0, 0, : past.t, 0].tolist() == expected


@pytest.mark.rows("features, heads, error", [(6, 4, ValueError), (0, 1, ValueError), (6, 2.0, TypeError)])
def test_heads_that_do_not_fit_are_refused(features, heads, error):
    with pytest.raises(error, match=r"^Name: expected "):
        expect_heads("Name", features, heads)
