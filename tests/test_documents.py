"""What the documents say holds: links lead to files, code runs, and what it prints is what stands beside it."""

import re
from pathlib import Path

import pytest

import minnet

ROOT = Path(minnet.__file__).parent.parent
README, PAGES = ROOT / "README.md", sorted(ROOT.glob("docs/*.md"))
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *PAGES, ROOT / "findings" / "README.md", ROOT / "datasets" / "README.md"]
WIDTH, FIRST_SCREEN = 100, 48

of_documents = pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def flat(text: str) -> str:
    return " ".join(text.split())


def headings(text: str) -> set[str]:
    """The headings of a document, as links name them."""
    found = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in found}


def dead_links(path: Path) -> list[str]:
    """The targets in this repository, of links outside of code, where there is nothing."""
    text = re.sub(r"^```.*?^```|`[^`\n]*`", "", read(path), flags=re.MULTILINE | re.DOTALL)
    targets = [target for target in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in target]
    places = {target: (path.parent / target.partition("#")[0]).resolve() for target in targets}
    return [target for target, place in places.items() if not place.exists()]


@of_documents
def test_a_link_into_the_repository_leads_to_a_file(path):
    assert dead_links(path) == []


def test_a_link_to_nothing_is_found_and_code_is_no_link(tmp_path):
    (tmp_path / "there.md").touch()
    text = (
        "[a](there.md#part) [`b`](gone.md) [c](https://example.org) `x[0](y)`\n\n```python\nx[0](y)\n```\n\n[d](z/)\n"
    )
    (tmp_path / "page.md").write_text(text, encoding="utf-8")
    assert dead_links(tmp_path / "page.md") == ["gone.md", "z/"]


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "docs/speed.md"])
def test_a_link_to_a_heading_leads_to_one(name):
    text = read(ROOT / name)
    targets = [target.split("#") for target in re.findall(r"\]\(([^)\s:]*#[^)\s]+)\)", text)]
    assert targets
    for file, anchor in targets:
        path = (ROOT / name).parent / file if file else ROOT / name
        assert anchor in headings(read(path)), (file, anchor)


PYTHON = [path for path in DOCUMENTS if blocks(read(path), "python")]


@pytest.mark.parametrize("path", PYTHON, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_python_of_a_document_runs_from_top_to_bottom(path, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for block in blocks(read(path), "python"):
        exec(block, names)


def test_lines_are_short_but_for_what_cannot_be_cut():
    for path, uncut in {README: "python3 -m venv ", **dict.fromkeys([*PAGES, ROOT / "CONTRIBUTING.md"], "| ")}.items():
        long = [line for line in read(path).splitlines() if len(line) > WIDTH and not line.startswith(uncut)]
        assert long == [], path


def test_the_code_in_the_readme_says_what_the_readme_says(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    layer, loop, fit, sequences = blocks(read(README), "python")
    first_screen = flat("\n".join(read(README).splitlines()[:FIRST_SCREEN]))
    names: dict = {}
    exec(layer, names)
    assert f"It prints `{capsys.readouterr().out.splitlines()[0]}`" in first_screen
    with pytest.raises(minnet.LayerCheckError) as caught:
        exec(layer.replace(".sum(axis=0)", ".mean(axis=0)"), {})
    assert str(caught.value) in first_screen

    names = {}
    exec(loop, names)
    assert float(capsys.readouterr().out) > 0.93
    exec(fit, names)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.npz", "run.npz"]
    capsys.readouterr()
    exec(sequences, names)
    rows = capsys.readouterr().out.splitlines()
    assert len(rows) == 3 and rows[2].endswith(" 0 0]]")


def test_the_readme_gives_two_commands_that_make_their_own_environment():
    (block,) = blocks(read(README), "sh")
    train, test = block.splitlines()
    assert train.startswith("python3 -m venv ") and train.endswith(" examples/digits.py")
    assert test.startswith("python3 -m venv ") and test.endswith(" -m pytest")


def test_the_readme_leads_to_every_example_and_every_page():
    readme = read(README)
    paths = [*ROOT.glob("examples/*.py"), *ROOT.glob("*.md"), *PAGES]
    names = {path.relative_to(ROOT).as_posix() for path in paths} - {"README.md"}
    assert {name for name in names if f"]({name})" not in readme} == set()


def test_the_readme_names_every_layer_loss_and_optimizer():
    (there,) = re.findall(r"^## What there is\n(.*?)^## ", read(README), flags=re.MULTILINE | re.DOTALL)
    kinds = minnet.Layer, minnet.Optimizer
    values = {name: getattr(minnet, name) for name in minnet.__all__}
    exported = {name for name, value in values.items() if isinstance(value, type) and issubclass(value, kinds)}
    missing = {name for name in exported - {"Layer", "Loss", "Optimizer"} if not re.search(rf"\b{name}\b", there)}
    assert missing == set(), "add it under What there is"


def test_the_contract_reads_the_same_wherever_it_stands():
    def sentences(text: str) -> list[str]:
        lines = re.sub(r"\n {3}(?=\w)", " ", text).splitlines()  # one may be broken in a document
        return [re.sub(r"[`*#]", "", line).strip() for line in lines if re.match(r"[# ]*[1-5]\. ", line)]

    contract = sentences(minnet.Layer.__doc__)
    assert len(contract) == 5
    assert sentences(read(README)) == contract
    assert sentences(read(ROOT / "examples" / "custom_layer.py")) == contract
