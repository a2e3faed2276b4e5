"""What `python -m tests.benchmarks` writes into documents: the table, the lines that sum it up, and where."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest

import minnet

ROOT = Path(__file__).parents[1]
MACHINE = {"python": "3.99", "machine": "made up, 64 cores"}


@pytest.fixture
def benchmarks(monkeypatch):
    """Three of its modules, imported as it is run: from its own folder. A matrix product has 100 GFLOP/s."""
    folder = ROOT / "tests" / "benchmarks"
    monkeypatch.syspath_prepend(folder)
    import goals
    import harness
    import report

    monkeypatch.setattr(harness, "matrix_product_rate", lambda: 100)
    yield goals, harness, report
    for name in {path.stem for path in folder.glob("*.py")} & sys.modules.keys():
        if Path(sys.modules[name].__file__ or "").parent == folder:
            del sys.modules[name]


def made_up(harness) -> list:
    """Results of three rounds that are alike: PyTorch takes ten times as long as minnet, twice and half as long."""

    def result(name, title, figures, *goals, unit="µs", scale=1e-6, operations=0):
        shares = dict.fromkeys(figures, operations) if operations else {}
        race = harness.Race(name, title, {}, unit=unit, scale=scale, operations=shares)
        return harness.Result(race, {who: [scale * figure] * 3 for who, figure in figures.items()}, goals)

    def goal(limit, other="PyTorch", subject="minnet"):
        return harness.Goal(other, limit, subject)

    adam = {"minnet": 1500, "PyTorch": 6000, "PyTorch fused Adam": 3000, "JAX jit": 500}
    never_more = goal(1.05, "batch 1", "batch 4"), goal(1.05, "batch 4", "batch 16")
    predict = goal(1.5, "NumPy"), goal(2.5, "NumPy", "minnet predict")
    return [
        result("step-32", "a small net", {"minnet": 20, "NumPy": 20, "PyTorch": 200}, goal(0.05)),
        result("perceptron", "a larger net", adam, goal(0.4)),
        result(
            "convolution",
            "a convolution",
            {"minnet": 40, "PyTorch": 20},
            goal(2.5),
            unit="ms",
            scale=1e-3,
            operations=1e9,
        ),
        result("inference", "one sample", {"minnet": 10, "minnet predict": 30, "NumPy": 10, "PyTorch": 20}, *predict),
        result("batch", "time per sample", {"batch 1": 10, "batch 4": 2, "batch 16": 3}, *never_more),
        result("import", "of no goals", {"minnet": 1}),
    ]


def test_the_table_has_a_row_for_each_race_with_goals_and_what_is_missed_in_bold(benchmarks):
    _, harness, report = benchmarks
    results = made_up(harness)
    results[0].figures["NumPy"] = [10e-6, 20e-6, 40e-6]
    heading, rows, growth = report.table(results, MACHINE, "a command").split("\n\n")
    assert "as `a command` measured" in heading.replace("\n", " ")
    assert heading.replace("\n", " ").endswith("4 of 7 are held. Python: 3.99; machine: made up, 64 cores.")
    assert rows.splitlines()[2:] == [
        "| a small net | 20 µs | 1.00 (0.75–1.50) | **0.100** (0.100–0.100) > 0.05 |  |",
        "| a larger net | 1,500 µs |  | 0.25 (0.25–0.25) ≤ 0.40<br>fused Adam 0.50 (0.50–0.50) "
        "| JAX jit 3.00 (3.00–3.00) |",
        "| a convolution | 40 ms<br>25% of the rate |  | 2.00 (2.00–2.00) ≤ 2.50 |  |",
        "| one sample | 10 µs | 1.00 (1.00–1.00) ≤ 1.50<br>predict **3.00** (3.00–3.00) > 2.50 | 0.50 (0.50–0.50) |  |",
    ]
    assert growth.replace("\n ", "") == (
        "- time per sample (µs): batch 1 10, batch 4 2, batch 16 3; **batch 16 costs 1.50 (1.50–1.50) of batch 4**."
    )
    assert max(map(len, [*heading.splitlines(), *growth.splitlines()])) <= report.WIDTH


def test_the_short_table_has_the_medians_of_what_has_a_goal(benchmarks):
    _, harness, report = benchmarks
    heading, rows = report.short_table(made_up(harness), MACHINE, "KERNEL=one a command").split("\n\n")
    assert "as `KERNEL=one a command` measured" in heading.replace("\n", " ") and "4 of 7 are held" in heading
    assert rows.splitlines()[2:] == [
        "| a small net | 20 µs |  | **0.100** |  |",
        "| a larger net | 1,500 µs |  | 0.25 |  |",
        "| a convolution | 40 ms<br>25% of the rate |  | 2.00 |  |",
        "| one sample | 10 µs | 1.00<br>predict **3.00** |  |  |",
    ]


def test_the_summary_sets_chosen_rows_against_pytorchs_fastest_way(benchmarks):
    _, harness, report = benchmarks
    assert report.summary(made_up(harness)[::-1]).splitlines() == [
        "- 0.100 (20 µs): a small net",
        "- 0.50 (1,500 µs): a larger net",
        "- 2.00 (40 ms): a convolution",
    ]


def test_what_is_summed_up_is_in_the_table_and_in_a_quick_run(benchmarks):
    goals, _, report = benchmarks
    rows = [goals.ROWS[name] for name in report.SUMMARY]
    assert all(row.quick and any(goal.other.startswith("PyTorch") for goal in row.goals) for row in rows)


def test_what_is_written_takes_the_place_between_its_markers_and_no_other(benchmarks, tmp_path):
    report, path = benchmarks[2], tmp_path / "page.md"
    second = report.OTHER_KERNEL
    page = "before\n<!-- benchmarks -->\n{}\n<!-- /benchmarks -->\nbetween\n<!-- {} -->\n{}\n<!-- /{} -->\nafter\n"
    path.write_text(page.format("old\nrows", second, "old", second), encoding="utf-8")
    report.write("new", path)
    report.write("newer", path)
    report.write("of another kernel", path, second)
    assert path.read_text(encoding="utf-8") == page.format("newer", second, "of another kernel", second)


def test_the_page_on_speed_has_a_place_for_either_table(benchmarks):
    report, page = benchmarks[2], ROOT / "docs" / "speed.md"
    for name in (report.FIGURES, report.OTHER_KERNEL):
        before, after = report.place(page, name)
        assert before.endswith(f"<!-- {name} -->") and after.startswith(f"<!-- /{name} -->")


@pytest.mark.parametrize("text", ["", "<!-- benchmarks -->", "<!-- /benchmarks -->\n<!-- benchmarks -->"])
def test_a_page_without_a_place_for_results_is_left_alone(benchmarks, tmp_path, text):
    report, path = benchmarks[2], tmp_path / "page.md"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"page\.md: expected a place for results"):
        report.write("new", path)
    assert path.read_text(encoding="utf-8") == text


def test_the_lines_in_the_readme_are_those_of_the_table_in_docs(benchmarks):
    report = benchmarks[2]

    def between(path):
        before, after = report.place(path)
        return path.read_text(encoding="utf-8")[len(before) : -len(after)].strip().replace("\n  ", " ")

    rows = dict(re.findall(r"^\| (.*?) \| (.*) \|$", between(ROOT / "docs" / "speed.md"), flags=re.MULTILINE))
    lines = re.findall(r"^- (\S+) \((.+?)\): (.+)$", between(ROOT / "README.md"), flags=re.MULTILINE)
    assert len(lines) == len(report.SUMMARY)
    for ratio, own, title in lines:
        figure, _, to_torch, _ = rows[title].split(" | ")
        figure = figure.split("<br>")[0]  # without its share of the rate
        medians = re.findall(r"([\d.]+)\**(?= \()", to_torch)
        assert (own, float(ratio)) == (figure, max(map(float, medians)))


@pytest.mark.parametrize(
    ("layer", "shape", "expected"),
    [
        (minnet.Linear(3, 4), (5, 3), 3 * 2 * 5 * 12),
        (minnet.Conv2d(2, 3, 3, padding=1), (1, 4, 5, 2), 3 * 2 * 20 * 9 * 2 * 3),
        (minnet.LSTM(2, 3), (4, 5, 2), 3 * 2 * 20 * (2 + 3) * 12),
        (minnet.MultiHeadAttention(4, 2), (3, 5, 4), 3 * 2 * (15 * 4 * 16 + 2 * 3 * 25 * 4)),
        (minnet.MultiHeadAttention(4, 2, causal=True), (3, 5, 4), 3 * 2 * (15 * 4 * 16 + 2 * 3 * 15 * 4)),
        (minnet.LayerNorm(4), (5, 4), 0),
    ],
    ids=repr,
)
def test_operations_are_two_for_each_product_of_forward_dw_and_dx(benchmarks, layer, shape, expected):
    from operations import step_operations

    assert step_operations(layer, np.ones(shape, np.float32), input_gradient=True) == expected


def test_operations_of_a_net_leave_out_the_gradient_of_its_data(benchmarks):
    from operations import step_operations

    inside = minnet.Residual(minnet.Linear(4, 6), minnet.ReLU(), minnet.Linear(6, 4))
    model = minnet.Sequential(minnet.Linear(3, 4), inside, minnet.Linear(4, 2), minnet.SoftmaxCrossEntropy())
    assert step_operations(model, np.ones((5, 3), np.float32)) == 2 * 5 * (2 * 12 + 3 * (24 + 24 + 8))


def test_ids_are_looked_up_without_a_product(benchmarks):
    from operations import step_operations

    model = minnet.Sequential(minnet.Embedding(7, 4), minnet.PositionalEmbedding(5, 4), minnet.Linear(4, 2))
    assert step_operations(model, np.zeros((2, 5), np.int64)) == 3 * 2 * 10 * 8
