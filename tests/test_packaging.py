"""What stands around the code: the version, the changelog, what a wheel holds, the contents that help begins with."""

import pydoc
import re
import tomllib
from pathlib import Path

import minnet

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")

# Of https://keepachangelog.com.
KINDS = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"]


def test_the_version_has_three_numbers_and_is_said_in_one_place():
    assert re.fullmatch(r"\d+\.\d+\.\d+", minnet.__version__)
    assert PROJECT["project"]["dynamic"] == ["version"]
    assert PROJECT["tool"]["setuptools"]["dynamic"] == {"version": {"attr": "minnet.__version__"}}


def test_the_changelog_begins_with_this_version():
    versions = re.findall(r"^## \[(.+)\] - (?:\d{4}-\d\d-\d\d|unreleased)$", CHANGELOG, flags=re.MULTILINE)
    assert versions[0] == minnet.__version__
    assert len(versions) == CHANGELOG.count("\n## ")


def test_the_changelog_groups_what_changed_by_its_kind():
    for version in CHANGELOG.split("\n## ")[1:]:
        kinds = re.findall(r"^### (.+)$", version, flags=re.MULTILINE)
        assert kinds and kinds == [kind for kind in KINDS if kind in kinds], version.splitlines()[0]


def test_a_wheel_holds_every_room_and_the_data():
    rooms = {path.parent.relative_to(ROOT).as_posix() for path in (ROOT / "minnet").rglob("__init__.py")}
    packages = PROJECT["tool"]["setuptools"]["packages"]
    assert packages == sorted({room.replace("/", ".") for room in rooms} | {"minnet._data"})


def test_the_table_of_contents_has_every_public_name_once():
    words = re.findall(r"(?<![\w.])\w+", minnet.__doc__)
    found = {name: words.count(name) for name in minnet.__all__}
    assert {name: n for name, n in found.items() if n != 1} == {}, "see the first docstring of minnet/__init__.py"


def test_the_table_of_contents_sends_on_to_names_that_there_are():
    names = re.findall(r"help\(mn\.(\w+)\)", minnet.__doc__)
    assert len(names) >= 3 and set(names) <= set(minnet.__all__)


def test_help_begins_with_the_table_of_contents_and_fits_a_narrow_terminal():
    text = pydoc.render_doc(minnet, renderer=pydoc.plaintext)
    lines = text.partition("\nPACKAGE CONTENTS")[0].splitlines()
    assert 40 <= len(lines) <= 60
    assert max(map(len, lines)) <= 80
    assert {name for name in minnet.__all__ if not re.search(rf"\b{name}\b", "\n".join(lines))} == set()
