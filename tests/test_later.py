"""What is imported when it is used: minnet without it, and no difference for those who use it."""

import pydoc
import subprocess
import sys

import pytest

import minnet
from minnet import later


def printed(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_import_leaves_out_what_is_used_later():
    code = "import sys, minnet; print(sorted(name for name in sys.modules if name.startswith('minnet.insight')))"
    assert printed(code) == "['minnet.insight', 'minnet.insight.arrays', 'minnet.insight.observation']\n"


@pytest.mark.parametrize("name", sorted(later.FILES))
def test_a_name_of_it_is_found_as_any_other(name):
    used, imported = (
        f"import minnet; print(minnet.{name}.__name__)",
        f"from minnet import {name}; print({name}.__name__)",
    )
    starred = f"from minnet import *; print({name}.__name__)"
    assert printed(used) == printed(imported) == printed(starred) == f"{name}\n"
    assert getattr(minnet, name) is getattr(minnet, name)


def test_it_stands_among_the_names_that_are_completed_and_explained():
    code = (
        "import minnet; print(sorted({'check_layer', 'diagnose', 'summary', 'fit', '__version__'} - set(dir(minnet))))"
    )
    assert printed(code) == "[]\n"
    explained = pydoc.plain(pydoc.render_doc(minnet))
    assert all(f"    {name}(" in explained for name in later.FILES)
