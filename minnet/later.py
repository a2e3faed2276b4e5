"""Names of minnet whose files are imported when one of them is first used, since most runs use none of them.

That takes a fifth of the time from `import minnet`.
"""

from __future__ import annotations

import sys
from functools import cache
from importlib import import_module
from typing import Any

from .foreign import missing

FILES = {"check_layer": "insight.check_layer", "diagnose": "insight.diagnose", "summary": "insight.summary"}


# Through cache, which keeps no errors, since type checkers take a plain function in this place to say that minnet has
# every name.
@cache
def attribute(name: str) -> Any:
    """The __getattr__ of minnet, which Python calls for a name that is not there yet."""
    return getattr(import_module(f"minnet.{FILES[name]}"), name) if name in FILES else missing(name)


def names() -> list[str]:
    """The __dir__ of minnet: these names stand among the others, for those who complete what they type."""
    return sorted({*vars(sys.modules["minnet"]), *FILES})
