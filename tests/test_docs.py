"""What is documented is what is there: options, parameters, notebooks, checks, fields, links."""

import importlib.util
import json
import re
from pathlib import Path

import pytest

from labkit import __version__
from labkit.embedded.digitalocean.routes import ROUTES
from labkit.embedded.linkerd.cli import COMMANDS
from labkit.embedded.mesh.viz.promql_functions import FUNCTIONS
from labkit.lab import all_checks
from labkit.params import Params
from labkit.runs import summary
from labkit.runs.folder import RunFolder

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
README = ROOT / "README.md"
PAGES = sorted([README, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *DOCS.glob("*.md")])


def read(name):
    return (DOCS / name).read_text()


def commands():
    """Every command of `labkit` with the options that a user can type."""
    import typer

    from labkit.cli import app

    def leaves(group, prefix=""):
        for name, command in group.commands.items():
            if hasattr(command, "commands"):
                yield from leaves(command, f"{prefix}{name} ")
            else:
                yield f"{prefix}{name}", command

    return {
        name: [
            option for param in command.params for option in [*param.opts, *param.secondary_opts]
        ]
        for name, command in leaves(typer.main.get_command(app))
    }


@pytest.mark.parametrize("command", sorted(commands()))
def test_every_command_and_option_is_documented(command):
    page = read("cli.md")
    assert f"## `labkit {command}" in page
    assert f"`labkit {command}`" in README.read_text()
    for option in commands()[command]:
        if option.startswith("-"):
            assert re.search(rf"`{re.escape(option)}\b", page), f"{command} {option}"


def test_documented_commands_exist():
    documented = set(re.findall(r"^## `labkit ([a-z]+(?: [a-z]+)?)", read("cli.md"), re.MULTILINE))
    assert documented == set(commands())


@pytest.mark.parametrize("key", sorted(Params.model_fields))
def test_every_parameter_is_documented(key):
    assert f"| `{key}` |" in read("parameters.md")


def test_every_notebook_has_a_row_in_the_readme():
    rows = re.findall(r"^\| `(\d\d_[a-z_]+)` \|", README.read_text(), re.MULTILINE)
    assert rows == sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("name", ["checks", "dataset"])
def test_a_generated_page_is_up_to_date(name):
    path = DOCS / f"generate_{name}.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert read(f"{name}.md") == module.render(), f"run python docs/generate_{name}.py"


@pytest.mark.parametrize("check", [check.id for check in all_checks()])
def test_every_check_is_documented(check):
    assert f"| `{check}` |" in read("checks.md")


def an_empty_summary(tmp_path):
    folder = RunFolder.create(tmp_path, Params())
    return summary.build(folder, Params(), timings={}, teardown={}, error=ValueError("x"))


def test_every_field_of_the_summary_is_documented(tmp_path):
    page = read("summary.md")
    content = an_empty_summary(tmp_path)
    for name, value in content.items():
        fields = [f"{name}.{key}" for key in value] if isinstance(value, dict) else [name]
        if name in ("versions", "timings_s"):
            fields = [name]
        for field in fields:
            assert re.search(rf"`{re.escape(field)}[`.\[]", page), field


@pytest.mark.parametrize("section", ["viz", "tap", "wan_share", "rtt"])
def test_every_measured_field_is_documented(section):
    """The keys are read from the code that makes them: a measurement would take a minute."""
    code = (ROOT / "labkit/chapters/latency_figures.py").read_text()
    block = re.search(
        rf'^        "{section}": \{{\n(.*?)^        \}},', code, re.MULTILINE | re.DOTALL
    )
    assert block, f"latency_figures.compute no longer makes {section}"
    keys = re.findall(r'^            "(\w+)":', block.group(1), re.MULTILINE)
    assert keys
    name = {"rtt": "rtt_ms"}.get(section, section)
    for key in keys:
        documented = key.removesuffix("_ms") if section == "rtt" else key
        assert f"`{name}.{documented}`" in read("summary.md"), f"{section}.{key}"


def test_the_schema_of_the_summary_is_named():
    assert summary.SCHEMA in read("summary.md")


def test_every_route_of_digitalocean_is_in_the_table_of_coverage():
    page = read("coverage.md")
    for route in ROUTES:
        if route.path.startswith("/v2/"):
            assert route.path.rpartition("/v2")[2].rpartition("/")[2] in page
            tail = route.path.rpartition("destroy_with_associated_resources")[2]
            path = tail if tail in ("/selective", "/dangerous") else route.path
            line = next((line for line in page.splitlines() if f"{path}`" in line), "")
            assert route.method in line, f"{route.method} {route.path}"


@pytest.mark.parametrize("words", sorted(COMMANDS))
def test_every_linkerd_subcommand_is_in_the_table_of_coverage(words):
    line = words[0] if len(words) == 1 else f"{words[0]} "
    rows = [row for row in read("coverage.md").splitlines() if f"`{line}" in row]
    assert any(re.search(rf"\b{re.escape(words[-1])}`", row) for row in rows), words


@pytest.mark.parametrize("function", sorted(FUNCTIONS))
def test_every_promql_function_is_in_the_table_of_coverage(function):
    assert function.removesuffix("_over_time") in read("coverage.md")


def test_make_targets_of_the_pages_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        used = set(re.findall(r"(?:^|`)make ([a-z-]+)", page.read_text(), re.MULTILINE))
        assert used <= targets, page.name


def heading_anchors(page):
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_resolve(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), target
        assert not anchor or anchor in heading_anchors(linked), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_named_files_exist(page):
    pattern = r"`((?:labkit|notebooks|params|docs|tests|benchmarks)/[\w/.-]+)`"
    for name in re.findall(pattern, page.read_text()):
        assert (ROOT / name).exists(), name


def test_every_package_has_its_place_on_the_map():
    page = read("architecture.md")
    for path in (ROOT / "labkit").iterdir():
        if path.name.startswith("_") or path.name in ("data", "py.typed"):
            continue
        assert path.stem in page, path.name
    for path in (ROOT / "labkit/embedded").iterdir():
        if path.is_dir() and not path.name.startswith("_") and path.name != "data":
            assert f"**`{path.name}`**" in page, path.name


def test_every_chart_is_named():
    code = (ROOT / "labkit/chapters/latency_charts.py").read_text()
    drawn = re.search(r"^_DRAWERS = \{\n(.*?)^\}", code, re.MULTILINE | re.DOTALL)
    for name in re.findall(r'"(\w+)":', drawn.group(1)):
        assert f"`{name}`" in read("run-folder.md")


def test_the_changelog_has_the_version():
    assert f"## [{__version__}]" in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda p: p.stem)
def test_a_kept_notebook_is_small_and_tells_nothing_of_a_machine(path):
    text = path.read_text()
    assert len(text.encode()) < 1_000_000
    assert not re.search(r"(?<![\w.])/(?:home|root|Users|tmp|work)/[\w.-]+", text)
    outputs = [out for cell in json.loads(text)["cells"] for out in cell.get("outputs", [])]
    assert not [output for output in outputs if output["output_type"] == "error"]
