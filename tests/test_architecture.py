"""The rules of the house, read from the source."""

import ast
import inspect
import re
import sys
import tomllib
from pathlib import Path

import pytest

import minnet
from minnet import later

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "minnet"

CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def rooms_of_the_map():
    """From top to bottom, as CONTRIBUTING.md draws them: the rooms from which each imports, and the files of each.

    "" is the ground floor.
    """
    rooms, files = {}, {}
    for line in CONTRIBUTING.split("<!-- map -->")[1].split("<!-- /map -->")[0].splitlines():
        if room := re.match(r"  (?:(\w+)/|ground floor) .*?(?:-> (.*))?$", line):
            name = room[1] or ""
            rooms[name], files[name] = {*(room[2] or "").split()} | {""} - {name}, []
        elif re.match(r" {6}\w", line):
            files[name] += line.split()
    return rooms, files


ROOMS, DRAWN = rooms_of_the_map()

# From top to bottom, what each file of a room imports of its own room. A new file needs a row, and a place in the map.
FILES = {
    "training": {
        "fit": {
            "callbacks",
            "checkpoint",
            "conditions",
            "divergence",
            "early_stopping",
            "evaluate",
            "history",
            "inputs",
            "modes",
            "progress",
            "run",
            "walk",
        },
        "conditions": {"checkpoint", "history", "inputs", "progress", "run", "updates"},
        "checkpoint": {"generators", "history", "identity", "run", "tally"},
        "identity": {"generators", "inputs", "rates", "run"},
        "rates": set(),
        "generators": set(),
        "walk": {"run"},
        "run": {"callbacks", "early_stopping", "history", "inputs", "tally", "updates"},
        "evaluate": {"inputs", "modes", "tally"},
        "tally": set(),
        "predict": {"inputs"},
        "modes": set(),
        "inputs": set(),
        "updates": set(),
        "early_stopping": set(),
        "divergence": set(),
        "progress": set(),
        "callbacks": {"history"},
        "history": set(),
    },
    "insight": {
        "check_layer": {
            "differences",
            "explanations",
            "inputs",
            "plain_arrays",
            "rebuilding",
            "report",
            "trial",
        },
        "explanations": {"differences", "trial"},
        "trial": {"inputs", "observation"},
        "inputs": set(),
        "report": {"differences", "table"},
        "diagnose": {
            "arrays",
            "diagnosis",
            "experiments",
            "findings",
            "gradients",
            "observation",
            "plain_arrays",
            "shared",
            "targets",
        },
        "findings": {"arrays", "diagnosis", "observation"},
        "targets": {"arrays", "observation"},
        "diagnosis": {"arrays", "observation", "table"},
        "experiments": {"arrays", "observation"},
        "shared": {"observation"},
        "gradients": {"alone", "arrays", "differences", "observation"},
        "alone": {"observation"},
        "differences": {"arrays"},
        "summary": {"arrays", "observation", "plain_arrays", "table"},
        "plain_arrays": {"arrays", "observation", "rebuilding"},
        "rebuilding": set(),
        "observation": {"arrays"},
        "arrays": set(),
        "table": set(),
    },
    "files": {"models": {"archive"}, "archive": set()},
    "data": {
        "batches": {"rows"},
        "split": set(),
        "preprocessing": {"rows"},
        "rows": set(),
        "digits": set(),
        "idx": set(),
    },
    "optimizers": {
        "lbfgs": {"optimizer", "vectors"},
        "first_order": {"optimizer", "vectors"},
        "optimizer": {"first_step", "schedules", "vectors"},
        "schedules": set(),
        "vectors": {"first_step", "segments"},
        "segments": set(),
        "first_step": set(),
    },
    "losses": {"classification": {"loss"}, "elementwise": {"loss"}, "loss": set()},
    "layers": {
        "padded": {"containers", "lengths"},
        "containers": {"inner", "lengths"},
        "branches": {"inner"},
        "inner": {"lengths"},
        "linear": set(),
        "activations": set(),
        "softmax": set(),
        "shape": {"lengths"},
        "dropout": set(),
        "batch_norm": set(),
        "normalization": set(),
        "convolution": {"correlation", "lengths", "windows"},
        "correlation": {"windows", "winograd"},
        "winograd": {"windows"},
        "resize": {"windows"},
        "pooling": {"lengths", "windows"},
        "windows": set(),
        "recurrent": {"gates", "recurrence"},
        "gates": set(),
        "recurrence": {"lengths"},
        "attention": {"heads", "lengths"},
        "cross_attention": {"heads", "lengths"},
        "heads": {"lengths"},
        "lengths": set(),
    },
    "": {
        "layer": {"arguments", "calls", "errors", "foreign", "naming", "parameter", "state", "tree"},
        "calls": {"naming", "tree"},
        "naming": {"tree"},
        "parameter": {"arguments", "tree"},
        "tree": set(),
        "state": {"arguments"},
        "later": {"foreign"},
        "foreign": set(),
        "initializers": {"arguments", "random"},
        "random": {"arguments"},
        "metrics": {"arguments"},
        "parts": {"arguments"},
        "arguments": set(),
        "numerics": set(),
        "gaussian": set(),
        "errors": set(),
    },
}
FACADES = {"__init__", *(f"{room}/__init__" for room in ROOMS if room)}  # names or a docstring, and no logic
CONTENTS = "__init__"  # whose docstring is the table of contents that help(minnet) begins with

FILE_LINES, CLASS_LINES, FUNCTION_LINES = 300, 80, 30

# What is larger than a class should be, and how large it may be at most.
LARGE_CLASSES = {"Layer": 189, "Sequential": 170, "Optimizer": 147, "SoftmaxCrossEntropy": 108}

# Tests of no single file.
TESTS_OF_THE_WHOLE = {
    "test_architecture.py",
    "test_benchmarks.py",
    "test_contract.py",
    "test_documents.py",
    "test_examples.py",
    "test_mutation.py",
    "test_packaging.py",
    "test_portability.py",
}

TREES = {
    path.relative_to(PACKAGE).with_suffix("").as_posix(): ast.parse(path.read_text(encoding="utf-8"))
    for path in sorted(PACKAGE.rglob("*.py"))
}
NODES = {file: list(ast.walk(tree)) for file, tree in TREES.items()}


def found(file, *kinds):
    return [node for node in NODES[file] if isinstance(node, kinds)]


def classes():
    return [(file, node) for file in TREES for node in found(file, ast.ClassDef)]


def functions():
    return [(file, node) for file in TREES for node in found(file, ast.FunctionDef, ast.AsyncFunctionDef)]


def imports(file):
    """What a file imports: (top-level package, "") from outside, (".", file) from minnet."""
    result = set()
    for node in found(file, ast.Import):
        result |= {(alias.name.split(".")[0], "") for alias in node.names}
    for node in found(file, ast.ImportFrom):
        if not node.level:
            result.add((node.module.split(".")[0], ""))
            continue
        folder = file.split("/")[: -node.level]
        modules = [node.module.replace(".", "/")] if node.module else [alias.name for alias in node.names]
        result |= {(".", "/".join([*folder, module])) for module in modules}
    return result


def room_of(file):
    return file.rpartition("/")[0]


def span(node):
    return node.end_lineno - node.lineno + 1


def docstring_lines(node):
    return span(node.body[0]) if ast.get_docstring(node) is not None else 0


def inside(room, file):
    return f"{room}/{file}" if room else file


def test_every_file_has_a_row_and_every_row_a_file():
    assert {inside(room, file) for room, files in FILES.items() for file in files} | FACADES == set(TREES)
    assert {room: set(files) for room, files in FILES.items()} == {room: set(files) for room, files in DRAWN.items()}


def test_the_map_fits_on_a_screen_and_leads_to_what_is_there():
    (drawing,) = re.findall(r"<!-- map -->\n```text\n(.*?)```", CONTRIBUTING, flags=re.DOTALL)
    assert len(drawing.splitlines()) <= 40 and max(map(len, drawing.splitlines())) <= 100
    places = re.findall(r"^\|.*\| `minnet/(\S+)\.py`(?:, `(\w+)`)? \|$", CONTRIBUTING, flags=re.MULTILINE)
    assert len(places) >= 8
    for file, function in places:
        assert file in TREES
        assert not function or function in {node.name for node in found(file, ast.FunctionDef)}, (file, function)


def test_what_is_imported_from_minnet_are_files_and_no_rooms():
    for file in TREES:
        own = {module for package, module in imports(file) if package == "."}
        assert own <= TREES.keys() - FACADES, file


def test_a_file_imports_of_its_room_what_its_row_names_and_that_stands_below_it():
    for room, files in FILES.items():
        order = list(files)
        for file, below in files.items():
            own = {module for package, module in imports(inside(room, file)) if package == "."}
            assert {module for module in own if room_of(module) == room} == {inside(room, name) for name in below}, file
            assert all(order.index(name) > order.index(file) for name in below), file


def test_a_room_imports_from_those_that_its_row_names_and_that_stand_below_it():
    order = list(ROOMS)
    for room, below in ROOMS.items():
        found = {
            room_of(module) for file in FILES[room] for package, module in imports(inside(room, file)) if package == "."
        }
        assert found - {room, ""} == below - {""}, room  # all may stand on the ground floor, none must
        assert all(order.index(other) > order.index(room) for other in below), room


@pytest.mark.parametrize("room", [room for room in ROOMS if room])
def test_the_first_docstring_of_a_room_says_what_it_may_import_and_where_to_start(room):
    _, may_import, start = re.split(r"(?<=\.)\s+", ast.get_docstring(TREES[f"{room}/__init__"]))
    assert set(re.findall(r"[a-z]+", may_import)) & ROOMS.keys() == ROOMS[room] - {""}
    assert may_import.endswith("the ground floor.")
    assert re.match(r"Start with (\w+)\.py", start)[1] in FILES[room]


def test_nothing_from_outside_is_imported_but_numpy_and_in_one_file_tqdm():
    for file in TREES:
        outside = {package for package, _ in imports(file) if package != "."} - sys.stdlib_module_names
        assert outside <= {"numpy", *(["tqdm"] if file == "training/progress" else [])}, file


# It puts the global generators back that a user's constructor may draw from.
KEEPS_GLOBAL_GENERATORS = "insight/rebuilding"


# It imports by name what is wanted by name.
IMPORTS_LATER = "later"


def test_the_standard_librarys_random_is_not_imported():
    assert [file for file in TREES if ("random", "") in imports(file)] == [KEEPS_GLOBAL_GENERATORS]


def test_imports_are_relative_public_and_plain():
    for file in TREES:
        assert "minnet" not in {package for package, _ in imports(file)}, file
        for node in found(file, ast.ImportFrom):
            names = [alias.name for alias in node.names]
            assert "*" not in names, file
            assert not (node.level and any(name.startswith("_") for name in names)), (file, names)
        used = {node.id for node in found(file, ast.Name)} | {node.attr for node in found(file, ast.Attribute)}
        imported = {alias.name for node in found(file, ast.ImportFrom) for alias in node.names}
        expected = {"__init__": {"TYPE_CHECKING"}, IMPORTS_LATER: {"import_module"}}.get(file, set())
        assert (used | imported) & {"TYPE_CHECKING", "__import__", "import_module"} == expected, file
        assert (("importlib", "") in imports(file)) == (file == IMPORTS_LATER), file


def test_type_checkers_are_told_of_what_is_imported_later():
    told = {
        (alias.name, node.module)
        for branch in found("__init__", ast.If)
        for node in branch.body
        for alias in node.names
    }
    assert told == set(later.FILES.items())


@pytest.mark.parametrize("file", sorted(FACADES))
def test_a_facade_has_no_logic(file):
    first, *rest = TREES[file].body
    assert isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    said = [node for node in rest if not isinstance(node, (ast.ImportFrom, ast.If))]
    assert all(isinstance(node, ast.Assign) and ast.literal_eval(node.value) for node in said)
    assert [ast.unparse(node.targets) for node in said] == (["__version__", "__all__"] if file == "__init__" else [])


def test_the_only_requirements_at_run_time_are_numpy_and_tqdm():
    outside = {package for file in TREES for package, _ in imports(file)} - {"."} - sys.stdlib_module_names
    assert outside == {"numpy", "tqdm"}


def test_the_requirements_are_declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["dependencies"] == ["numpy>=2.0", "tqdm"]
    assert project["optional-dependencies"]["test"] == ["pytest"]
    assert project["requires-python"] == ">=3.11"


def test_a_file_is_not_too_long():
    lines = {file: (PACKAGE / f"{file}.py").read_text(encoding="utf-8").count("\n") for file in TREES}
    long = {file: count for file, count in lines.items() if count > FILE_LINES}
    assert long == {}, "split it by a noun: see CONTRIBUTING.md, Add a layer"


def test_a_class_fits_on_a_screen():
    long = {node.name: span(node) for _, node in classes() if span(node) > CLASS_LINES}
    assert {name: lines for name, lines in long.items() if lines > LARGE_CLASSES.get(name, CLASS_LINES)} == {}
    assert set(LARGE_CLASSES) == set(long), "an exception that is not needed any more is taken out"


def test_a_function_is_short():
    long = {(file, node.name, node.lineno): span(node) - docstring_lines(node) for file, node in functions()}
    assert {place: lines for place, lines in long.items() if lines > FUNCTION_LINES} == {}


def test_no_file_is_a_drawer():
    assert not {file.split("/")[-1] for file in TREES} & {"utils", "util", "helpers", "core", "misc", "common", "base"}


def test_every_file_says_why_it_exists():
    texts = {file: ast.get_docstring(tree) or "" for file, tree in TREES.items() if file != CONTENTS}
    assert [file for file, text in texts.items() if not 1 <= len(text.splitlines()) <= 6] == []


def public(module):
    """The public classes and functions that a module defines, and the public methods of those classes."""
    for name, value in vars(module).items():
        if name.startswith("_") or getattr(value, "__module__", None) != module.__name__:
            continue
        if inspect.isclass(value) or inspect.isfunction(value):
            yield name, value
        if inspect.isclass(value):
            for method, member in vars(value).items():
                if not method.startswith("_") and inspect.isfunction(member):
                    yield f"{name}.{method}", getattr(value, method)


def undocumented(file):
    module = sys.modules[f"minnet.{file.replace('/', '.')}"]
    return {f"{file}: {name}" for name, value in public(module) if not inspect.getdoc(value)}


def test_everything_public_has_a_docstring():
    names = set().union(*(undocumented(file) for file in TREES.keys() - FACADES))
    assert {name for name in names if name.split(".")[-1] not in ("forward", "backward")} == set()


def exported_layers():
    values = [getattr(minnet, name) for name in minnet.__all__]
    return [value for value in values if inspect.isclass(value) and issubclass(value, minnet.Layer)]


@pytest.mark.parametrize("layer", [layer for layer in exported_layers() if layer not in (minnet.Layer, minnet.Loss)])
def test_a_layers_docstring_has_the_formulas_and_forward_and_backward_none(layer):
    lines = [line.split() for line in inspect.getdoc(layer).splitlines()]
    starts = [line[0] for line in lines if line and line[0] in ("Forward", "Backward", "Shapes")]
    assert starts == ["Forward", "Backward", "Shapes"]
    assert layer.forward.__doc__ is None and layer.backward.__doc__ is None


@pytest.mark.parametrize("layer", exported_layers())
def test_forward_stands_above_backward(layer):
    methods = list(vars(layer))
    assert "forward" not in methods or methods.index("forward") < methods.index("backward")


def test_all_is_sorted_and_names_everything_public():
    def constants_then_classes_then_functions(name):
        return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)

    assert minnet.__all__ == sorted(minnet.__all__, key=constants_then_classes_then_functions)
    visible = {name for name, value in vars(minnet).items() if name[0] != "_" and not inspect.ismodule(value)}
    assert visible - set(minnet.__all__) == set(), "add it to __all__"
    assert set(minnet.__all__) - visible - set(later.FILES) == set(), "import it, or take it out of __all__"
    assert len(set(minnet.__all__)) == len(minnet.__all__)


def test_text_that_is_made_is_ascii():
    """A pipe may take nothing else. Whether a bar may have the … is decided by tqdm."""
    trees = TREES | {path.stem: ast.parse(path.read_text(encoding="utf-8")) for path in ROOT.glob("examples/*.py")}
    texts = {
        f"{file}:{node.lineno}: {node.value}"
        for file, tree in trees.items()
        for parent in ast.walk(tree)
        if not isinstance(parent, ast.Expr)  # a docstring
        for node in ast.iter_child_nodes(parent)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and not node.value.isascii()
    }
    assert {text for text in texts if not re.fullmatch(r"training/progress:\d+: …", text)} == set()


def test_numpys_global_generator_is_neither_read_nor_written():
    owned = {"Generator", "default_rng", "PCG64", "BitGenerator", "SeedSequence"}
    for file in TREES:
        for node in found(file, ast.Attribute):
            if isinstance(node.value, ast.Attribute) and node.value.attr == "random":
                keeps = {"get_state", "set_state"} if file == KEEPS_GLOBAL_GENERATORS else set()
                assert node.attr in owned | keeps, (file, ast.unparse(node))
        for node in found(file, ast.ImportFrom):
            assert node.level or not (node.module or "").startswith("numpy.random"), file
            assert node.level or node.module != "numpy" or "random" not in [alias.name for alias in node.names], file


def test_only_random_makes_a_generator_from_nothing():
    bare = [
        file
        for file in TREES
        for node in found(file, ast.Call)
        if isinstance(node.func, ast.Attribute)
        and node.func.attr == "default_rng"
        and not node.args
        and not node.keywords
    ]
    assert bare == ["random"]


def test_there_is_no_assert():
    assert [file for file in TREES if found(file, ast.Assert)] == []


def test_tests_mirror_the_package():
    expected = {inside(room, f"test_{name}.py") for room, files in FILES.items() for name in files}
    tests = ROOT / "tests"
    there = {path.relative_to(tests).as_posix() for path in tests.rglob("test_*.py")}
    assert expected - there == set(), "a file without tests"
    parts = tuple(name.removesuffix(".py") + "_" for name in expected)
    strangers = {name for name in there - expected - TESTS_OF_THE_WHOLE if not name.startswith(parts)}
    assert strangers == set(), "tests of no file"


def test_test_names_are_sentences():
    for path in (ROOT / "tests").rglob("test_*.py"):
        text = path.read_text(encoding="utf-8")
        names = re.findall(r"^(?:async )?def (test_\w+)", text, flags=re.MULTILINE)
        assert [name for name in names if name.count("_") < 3] == [], path.name
        assert not re.search(r"^class Test", text, flags=re.MULTILINE), path.name
