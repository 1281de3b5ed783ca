"""The rules of the house that a reader of the code would otherwise have to trust."""

import ast
import json
import re
from pathlib import Path

import pytest
import typer

from labkit.chapters import CHAPTERS
from labkit.cli import app
from labkit.handouts.cells import exercise_of
from labkit.inventory import all_checks
from labkit.lab import Lab
from labkit.params import Params
from labkit.runs.notebooks import find_notebooks

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
WALK = find_notebooks(ROOT / "notebooks")
PACKAGE = ROOT / "labkit"
NUMBERS = [*(f"{n:02}" for n in range(11)), "12", "13", "99"]
HEADER = ("Goal", "Prerequisites", "Time", "Cost", "What you will see")
ONE_MB = 2**20


def cells(path):
    return json.loads(path.read_text())["cells"]


def source(cell):
    return "".join(cell["source"])


def tagged(path, tag):
    return [cell for cell in cells(path) if tag in cell["metadata"].get("tags", [])]


def number(path):
    return path.name[:2]


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request):
    return request.param


# --- checks and chapters ------------------------------------------------------------------


def test_every_check_says_what_it_proves_and_how_to_repair_it():
    for check in all_checks():
        assert re.fullmatch(r"\d\d\.[a-z0-9-]+", check.id), check.id
        for text in (check.title, check.proves, check.fix):
            assert len(text) > 10, check.id
        assert set(check.clusters) <= {"west", "east"}, check.id


def test_check_ids_are_unique():
    ids = [check.id for check in all_checks()]
    assert len(ids) == len(set(ids))


def test_every_chapter_has_checks_of_its_own_number_and_a_notebook():
    assert len(CHAPTERS) == len(NUMBERS)
    for chapter, expected in zip(CHAPTERS, NUMBERS, strict=True):
        assert {check.chapter for check in chapter.CHECKS} == {expected}, chapter.__name__
    assert [number(path) for path in WALK] == NUMBERS
    assert [path.stem for path in NOTEBOOKS if path not in WALK] == ["11_compare_runs"]


# --- notebooks ----------------------------------------------------------------------------


def test_a_notebook_begins_with_its_header(notebook):
    first = cells(notebook)[0]
    assert first["cell_type"] == "markdown"
    assert source(first).startswith(f"# {number(notebook)} · ")
    for row in HEADER:
        assert f"**{row}**" in source(first)


def test_a_notebook_has_one_parameters_cell_and_it_is_the_first_of_code(notebook):
    (parameters,) = tagged(notebook, "parameters")
    assert parameters == next(cell for cell in cells(notebook) if cell["cell_type"] == "code")


def test_parameters_of_a_notebook_are_typed_and_those_of_the_walk_are_the_lab_s(notebook):
    (parameters,) = tagged(notebook, "parameters")
    for statement in ast.parse(source(parameters)).body:
        assert isinstance(statement, ast.AnnAssign)
        assert notebook not in WALK or statement.target.id in Params.model_fields


def test_a_chapter_ends_with_its_check_and_exercises_come_after_it(notebook):
    (check,) = tagged(notebook, "check")
    code = [cell for cell in cells(notebook) if cell["cell_type"] == "code"]
    assert check == [cell for cell in code if not exercise_of(cell)][-1]
    first = next((n for n, cell in enumerate(cells(notebook)) if exercise_of(cell)), None)
    assert first is None or all(exercise_of(cell) for cell in cells(notebook)[first:])
    call = f'lab.check("{number(notebook)}")' if notebook in WALK else "found.check()"
    assert source(check).strip() == call


def test_a_notebook_holds_no_function_over_five_lines(notebook):
    for cell in cells(notebook):
        if cell["cell_type"] != "code":
            continue
        for node in ast.walk(ast.parse(source(cell))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno - node.lineno < 5


def test_a_notebook_calls_only_what_the_lab_has(notebook):
    for cell in cells(notebook):
        if cell["cell_type"] != "code":
            continue
        for name in re.findall(r"\blab\.(\w+)", source(cell)):
            assert hasattr(Lab, name) or name in ("params", "folder", "cloud"), name


def test_a_notebook_holds_no_error_no_secret_and_no_path_of_a_machine(notebook):
    text = notebook.read_text()
    assert '"output_type": "error"' not in text
    for pattern in (
        r"do[opr]_v1_[0-9a-f]{8}",
        r"PRIVATE KEY",
        r"eyJ[\w-]{8,}\.[\w-]{8,}\.",
        r"(?<![\w.])/(?:home|Users|root|work|tmp|private)/\w",
    ):
        assert not re.search(pattern, text), pattern
    assert "papermill" not in json.loads(text)["metadata"]


def test_a_notebook_is_small_enough_for_the_web(notebook):
    assert notebook.stat().st_size < ONE_MB


# --- the wire -----------------------------------------------------------------------------


def modules(folder):
    return [path for path in folder.rglob("*.py") if "_pb2" not in path.name]


def imported(path):
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def test_nothing_above_the_wire_imports_the_embedded_cloud():
    for path in modules(PACKAGE):
        if PACKAGE / "embedded" in path.parents:
            continue
        bad = [name for name in imported(path) if name.startswith("labkit.embedded")]
        assert not bad, path.relative_to(ROOT)


def test_the_embedded_cloud_knows_errors_and_certificates_and_nothing_else_above():
    allowed = re.compile(r"labkit(\.(__version__|embedded|errors|certs)\b.*)?$")
    for path in modules(PACKAGE / "embedded"):
        bad = [n for n in imported(path) if n.split(".")[0] == "labkit" and not allowed.match(n)]
        assert not bad, path.relative_to(ROOT)


def test_no_chapter_asks_which_cloud_it_is_on():
    for path in modules(PACKAGE / "chapters"):
        text = path.read_text()
        assert "EmbeddedCloud" not in text, path.name
        assert not re.search(r"""(cloud|cloud\.name)\s*(==|!=|in)\s*[("']""", text), path.name


def test_the_certificates_module_imports_no_other_part():
    for path in [*PACKAGE.glob("certs*"), *PACKAGE.glob("errors*")]:
        for file in modules(path) if path.is_dir() else [path]:
            names = {n for n in imported(file) if n.startswith("labkit.")}
            assert all(n.startswith(("labkit.errors", "labkit.certs")) for n in names), file


def test_library_code_does_not_print():
    for path in modules(PACKAGE):
        if {PACKAGE / "cli", PACKAGE / "embedded" / "images"} & set(path.parents):
            continue
        calls = [
            node
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print"
        ]
        assert not calls, path.relative_to(ROOT)


def test_modules_and_functions_are_short():
    for path in modules(PACKAGE):
        text = path.read_text()
        assert text.count("\n") <= 420, path.relative_to(ROOT)
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = node.end_lineno - node.lineno + 1
                assert length <= 80, f"{path.relative_to(ROOT)}: {node.name} has {length} lines"


def test_every_module_says_what_it_is_for():
    for path in modules(PACKAGE):
        assert ast.get_docstring(ast.parse(path.read_text())), path.relative_to(ROOT)


def test_there_are_no_stubs_and_no_paths_of_a_machine():
    words = re.compile(r"\b(TODO|FIXME|XXX|NotImplementedError)\b|(?<![\w.])/(?:work|root)/")
    for path in [*modules(PACKAGE), *(ROOT / "benchmarks").glob("*.py")]:
        found = words.search(path.read_text())
        assert not found, f"{path.relative_to(ROOT)}: {found and found[0]}"


# --- the documentation --------------------------------------------------------------------


def documentation():
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    return "\n".join(page.read_text() for page in pages if page.is_file())


def test_every_parameter_is_documented():
    text = documentation()
    assert [key for key in Params.model_fields if f"`{key}`" not in text] == []


def test_every_command_is_documented():
    text = documentation()
    names = [command.name or command.callback.__name__ for command in app.registered_commands]
    assert [name for name in names if f"labkit {name}" not in text] == []


def test_every_option_of_the_command_line_is_documented():
    text = documentation()
    assert [option for option in options() if option not in text] == []


def options():
    """Every option of every command, in its long form where it has one."""
    commands = typer.main.get_command(app).commands.values()
    longest = {max(p.opts, key=len) for command in commands for p in command.params}
    return sorted(option for option in longest if option.startswith("-"))


def test_every_notebook_is_in_the_readme():
    text = (ROOT / "README.md").read_text()
    missing = [path.stem for path in NOTEBOOKS if path.stem not in text]
    assert missing == []


@pytest.mark.parametrize("path", ["LICENSE", "CHANGELOG.md", "docs/architecture.md", ".ci/run"])
def test_what_a_repository_must_have_is_there(path):
    assert (ROOT / path).is_file()


def test_the_changelog_knows_this_version():
    from labkit import __version__

    assert f"[{__version__}]" in (ROOT / "CHANGELOG.md").read_text()
