from minnet.insight.table import table

ROWS = [("name", "count", "note"), ("a", "12", ""), ("longer name", "3", "once")]


def test_columns_are_aligned_to_the_left_and_two_spaces_apart():
    assert table(ROWS) == ["name         count  note", "a            12", "longer name  3      once"]


def test_columns_of_numbers_are_aligned_to_the_right():
    assert table(ROWS, right=[1]) == ["name         count  note", "a               12", "longer name      3  once"]
