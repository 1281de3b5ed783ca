"""What is documented is what is there: options, parameters, notebooks, checks, fields, links."""

import importlib.util
import json
import re
import sys
from pathlib import Path

import pytest
import yaml

from labkit import __version__
from labkit.handouts.cells import exercise_of
from labkit.inventory import all_checks, exercise_checks
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
    assert f"`labkit {command}`" in page.partition("## Exit codes")[0]  # at a glance
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


def test_every_notebook_is_on_the_learners_map():
    rows = re.findall(r"^\| `(\d\d_[a-z_]+)` \|", read("learner.md"), re.MULTILINE)
    assert rows == sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))


def test_the_instructors_plan_is_the_boards():
    rows = re.findall(r"^\| (\d\d) \| (\d+) \|", read("instructor.md"), re.MULTILINE)
    plan = yaml.safe_load((ROOT / "labkit/data/workshop-plan.yaml").read_text())["minutes"]
    assert {number: int(minutes) for number, minutes in rows} == plan


def test_every_page_can_be_reached_from_the_readme():
    found, left = set(), [README]
    while left:
        page = left.pop()
        found.add(page)
        for target in re.findall(r"\]\(([^)#\s]+\.md)", page.read_text()):
            linked = (page.parent / target).resolve()
            if linked not in found and linked.exists():
                left.append(linked)
    assert set(DOCS.glob("*.md")) <= found


def generator(name):
    """The script that makes a page."""
    path = DOCS / f"generate_{name}.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # its data classes look themselves up
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["checks", "coverage", "dataset", "drills", "exercises"])
def test_a_generated_page_is_up_to_date(name):
    page = generator(name).render()
    assert read(f"{name}.md") == page, f"run `python docs/generate_{name}.py`"


@pytest.mark.parametrize("check", [check.id for check in all_checks()])
def test_every_check_is_documented(check):
    assert f"| `{check}` |" in read("checks.md")


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda p: p.stem)
def test_every_exercise_of_a_notebook_is_documented(path):
    ids = {exercise_of(cell) for cell in json.loads(path.read_text())["cells"]} - {""}
    assert ids or not "03" <= path.stem[:2] <= "11"
    for exercise in ids:
        assert f"| `{exercise}` |" in read("exercises.md")


def test_every_exercise_is_in_a_notebook():
    text = "".join(path.read_text() for path in (ROOT / "notebooks").glob("*.ipynb"))
    for check in exercise_checks():
        assert f'"exercise": "{check.id}"' in text


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


@pytest.fixture
def coverage(tmp_path, monkeypatch):
    """The generator of docs/coverage.md, and its notes to change."""
    module = generator("coverage")
    notes = tmp_path / "coverage.yaml"
    notes.write_text(module.NOTES.read_text())
    monkeypatch.setattr(module, "NOTES", notes)
    return module


def test_what_the_code_has_needs_a_note_in_the_coverage(coverage):
    text = coverage.NOTES.read_text()
    for line in ("GET /v2/account: yes", "histogram_quantile: yes", "edit: yes", "viz edges: yes"):
        assert f" {line}\n" in text
        coverage.NOTES.write_text(text.replace(f" {line}\n", " {}\n".format("x: yes"), 1))
        with pytest.raises(coverage.CoverageError, match=line.removesuffix(": yes")) as caught:
            coverage.render()
        assert "there is no `x`" in str(caught.value)
        assert "python docs/generate_coverage.py" in str(caught.value)


@pytest.mark.parametrize("note", ["partly", "no", "perhaps - later"])
def test_a_note_of_the_coverage_gives_a_verdict_and_a_reason(coverage, note):
    text = coverage.NOTES.read_text().replace("GET /v2/account: yes", f"GET /v2/account: {note}")
    coverage.NOTES.write_text(text)
    with pytest.raises(coverage.CoverageError, match="GET /v2/account"):
        coverage.render()


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
