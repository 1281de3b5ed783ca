import dataclasses
import json
import shlex
import subprocess

import pytest

BAD_PARAMS = """\
lab_name: demo
west_regoin: sfo3
west_region: sfo33
east_region: syd1
measure_seconds: -5
node_count: 2.5
do_token: abc
"""


def started_by(home):
    """Processes and files that a refused command must not leave."""
    return home.processes() + sorted(path.name for path in home.root.iterdir())


def test_every_problem_of_the_parameters_is_told_at_once_and_nothing_is_started(home):
    (home.root / "bad.yaml").write_text(BAD_PARAMS)
    for command in ("up", "run", "config"):
        done = home.run(command, "--params", "bad.yaml", "-p", "wan_loss=0.7")
        assert done.returncode == 2
        assert done.stdout == ""
        assert done.stderr.splitlines() == [
            "Parameters do not fit (6 problems).",
            "  - bad.yaml:2: west_regoin: unknown key; did you mean `west_region`?",
            "  - bad.yaml:3: west_region: unknown region `sfo33`; did you mean `sfo3`?",
            "  - bad.yaml:5: measure_seconds: must be at least 5, not `-5`",
            "  - bad.yaml:6: node_count: must be a whole number, not `2.5`",
            (
                "  - bad.yaml:7: do_token: a secret is never a parameter; remove it and set "
                "DIGITALOCEAN_TOKEN in the environment"
            ),
            "  - -p: wan_loss: must be at most 0.2, not `0.7`",
        ]
    assert started_by(home) == ["bad.yaml"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-p", "west_region=syd1", "-p", "east_region=syd1"], "same region twice"),
        (["-p", "west_region=mars1"], "unknown region `mars1`"),
        (["-p", "measure_seconds=-1"], "must be at least 5"),
        (["-p", "colour=blue"], "unknown key"),
        (["-p", "lab_name"], "expected KEY=VALUE"),
        (["--params", "nowhere.yaml"], "does not exist"),
    ],
    ids=["same region", "unknown region", "negative", "unknown key", "no value", "no file"],
)
def test_bad_input_is_one_message_and_exit_code_2(home, arguments, words):
    done = home.run("up", *arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert started_by(home) == []


def test_malformed_yaml_is_told_with_its_line(home):
    (home.root / "bad.yaml").write_text("lab_name: demo\nwest_region: [sfo3\n")
    done = home.run("run", "--params", "bad.yaml")
    assert done.returncode == 2
    assert "bad.yaml:3: malformed YAML" in done.stderr
    assert started_by(home) == ["bad.yaml"]


@pytest.mark.parametrize("command", ["status", "check", "down", "env"])
def test_an_unknown_lab_is_told_with_the_way_to_make_one(home, command):
    done = home.run(command, "--lab-name", "nowhere")
    assert (done.returncode, done.stdout) == (1, "")
    assert (
        done.stderr == "There is no lab nowhere. Seen: labs: none. Next: `labkit up` makes one.\n"
    )


def make_lab(home, name="demo", **values):
    """A lab that was never up, as `up` leaves it before anything starts."""
    from labkit.folder import LabFolder
    from labkit.params import Params

    folder = LabFolder(home.root / name)
    folder.write_params(Params(lab_name=name, **values))
    return folder


def test_several_labs_need_a_name(home):
    make_lab(home, "one")
    make_lab(home, "two")
    done = home.run("status")
    assert done.returncode == 2
    assert "There are several labs" in done.stderr
    assert "--lab-name one" in done.stderr
    assert home.run("status", env={"LABKIT_LAB_NAME": "two"}).stdout.startswith(
        "lab two on embedded: down"
    )


def test_status_of_a_lab_that_is_down_says_so(home):
    make_lab(home)
    done = home.run("status")
    assert (done.returncode, done.stdout) == (0, "lab demo on embedded: down\n")
    facts = home.json("status")
    assert (facts["running"], facts["clusters"], facts["processes"]) == (False, [], [])


def test_taking_down_what_is_down_is_no_error(home):
    make_lab(home)
    done = home.run("down")
    assert (done.returncode, done.stdout) == (0, "there were no clusters\nprocesses left: 0\n")


def test_checks_of_a_lab_that_is_down_fail_with_the_way_out(home):
    make_lab(home)
    done = home.run("check", "01")
    assert done.returncode == 1
    assert "✘ 01.two-servers" in done.stdout
    assert "`labkit up`" in done.stdout
    rows = json.loads(home.run("check", "01", "--json").stdout)
    assert {row["status"] for row in rows} == {"fail"}


def test_checks_of_an_unknown_chapter_are_refused(home):
    make_lab(home)
    done = home.run("check", "77")
    assert done.returncode == 2
    assert "77: no chapter of that number" in done.stderr


def test_checks_can_be_listed_without_a_lab(home):
    done = home.run("check", "--list")
    assert done.returncode == 0
    assert "01.two-servers  west and east are two different clusters" in done.stdout
    rows = json.loads(home.run("check", "--list", "--json").stdout)
    assert {"id", "title", "clusters", "proves"} <= set(rows[0])


def test_config_shows_each_value_with_its_origin(home):
    (home.root / "my.yaml").write_text("node_count: 2\nwest_region: ams3\n")
    done = home.run(
        "config", "--params", "my.yaml", "-p", "west_region=nyc1", env={"LABKIT_SEED": "7"}
    )
    assert done.returncode == 0
    rows = {line.split()[0]: line.split(None, 2)[1:] for line in done.stdout.splitlines()}
    assert rows["west_region"] == ["nyc1", "flag -p"]
    assert rows["node_count"] == ["2", "my.yaml:1"]
    assert rows["seed"] == ["7", "environment LABKIT_SEED"]
    assert rows["east_region"] == ["syd1", "default"]


def test_config_as_json_holds_values_and_origins(home):
    facts = home.json("config", "-p", "wan_rtt_ms=12.5")
    assert facts["wan_rtt_ms"] == {"value": 12.5, "origin": "flag -p"}
    assert facts["lab_name"] == {"value": "demo", "origin": "default"}


def test_the_schema_is_the_one_in_the_repository(home, request):
    schema = json.loads(home.run("config", "--schema").stdout)
    assert schema == json.loads((request.config.rootpath / "params/schema.json").read_text())


def test_env_can_be_evaluated_by_bash_whatever_the_path_holds(home):
    root = home.root / "a home's $folder"
    root.mkdir()
    home = dataclasses.replace(home, root=root)
    folder = make_lab(home)
    labkit = shlex.join(home.argv("env"))
    done = subprocess.run(
        [
            "bash",
            "-c",
            f'eval "$({labkit})"; printf "%s\\n" "$KUBECONFIG" "${{PATH%%:*}}" "$LABKIT_LAB_NAME"',
        ],
        env=home.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == [str(folder.kubeconfig), str(folder.commands), "demo"]


def test_help_lists_the_commands_and_each_has_a_sentence(home):
    done = home.run("--help")
    assert done.returncode == 0
    for name in ("up", "status", "check", "run", "down", "config", "env", "version"):
        assert name in done.stdout
        assert home.run(name, "--help").returncode == 0


def test_a_command_line_that_does_not_parse_is_exit_code_2(home):
    for arguments in (["up", "--nonsense"], ["run", "-p"], ["down", "extra"]):
        done = home.run(*arguments)
        assert (done.returncode, done.stdout) == (2, ""), arguments
        assert "Traceback" not in done.stderr


def test_an_unknown_command_is_refused_with_help(home):
    done = home.run("uo")
    assert done.returncode == 2
    assert "No such command" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_version_is_the_packages(home):
    from labkit import __version__

    assert home.run("version").stdout.strip() == __version__


def test_a_home_that_cannot_be_written_is_a_message(home):
    (home.root / "file").write_text("in the way")
    done = home.run("up", env={"LABKIT_HOME": str(home.root / "file" / "labs")})
    assert done.returncode == 1
    assert "cannot be written" in done.stderr
    assert "LABKIT_HOME" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_full_disk_is_a_message(home):
    """No file of this user may grow beyond 0 bytes: what ENOSPC looks like without a full disk."""
    labkit = shlex.join(home.argv("up"))
    done = subprocess.run(
        ["bash", "-c", f"trap '' XFSZ; ulimit -f 0; {labkit} 2>&1 | cat"],
        env={**home.environment, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stdout
    assert "cannot be written" in done.stdout
    assert "File too large" in done.stdout


def test_a_command_whose_reader_has_gone_ends_quietly(home):
    labkit = shlex.join(home.argv("config", "--schema"))
    done = subprocess.run(
        ["bash", "-c", f"{labkit} | true"],
        env=home.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr
