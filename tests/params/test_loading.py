import json
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from labkit.errors import InputError
from labkit.params import Params, json_schema, load_params, to_papermill
from labkit.params.reading import parse_document

ROOT = Path(__file__).resolve().parents[2]


def problems(**arguments):
    with pytest.raises(InputError) as caught:
        load_params(**arguments)
    return caught.value.problems


def test_without_anything_the_defaults_apply():
    loaded = load_params()
    assert loaded.params == Params()
    assert set(loaded.origins.values()) == {"default"}


def test_a_flag_wins_over_the_environment_over_the_file_over_the_default(tmp_path):
    file = tmp_path / "p.yaml"
    file.write_text("seed: 1\nmeasure_seconds: 11\nwarmup_seconds: 1\n")
    environ = {"LABKIT_SEED": "2", "LABKIT_MEASURE_SECONDS": "12", "HOME": "/"}
    loaded = load_params(file, overrides={"seed": "3"}, environ=environ)
    values = loaded.params
    assert (values.seed, values.measure_seconds, values.warmup_seconds) == (3, 12, 1)
    assert values.node_count == 3
    assert [loaded.origins[k] for k in ("seed", "measure_seconds", "warmup_seconds")] == [
        "flag -p",
        "environment LABKIT_MEASURE_SECONDS",
        f"{file}:3",
    ]
    assert loaded.origins["node_count"] == "default"


def test_rows_list_every_key_with_value_and_origin():
    rows = load_params(overrides={"seed": "3"}).rows()
    assert [key for key, _, _ in rows] == list(Params.model_fields)
    assert ("seed", 3, "flag -p") in rows


def test_text_takes_the_type_of_its_field():
    texts = {"seed": "7", "wan_rtt_ms": "1e2", "wan_jitter_ms": "null", "cloud": "embedded"}
    values = load_params(overrides=texts).params
    assert (values.seed, values.wan_rtt_ms, values.wan_jitter_ms) == (7, 100.0, None)


def test_text_stays_text_where_the_field_is_text():
    assert load_params(overrides={"emojivoto_tag": "011"}).params.emojivoto_tag == "011"


def test_whole_numbers_of_a_file_fit_fields_with_fractions(tmp_path):
    file = tmp_path / "p.yaml"
    file.write_text("ttl_hours: 2\nwan_rtt_ms: 0\n")
    assert load_params(file).params.ttl_hours == 2.0


def test_a_wrong_value_that_a_flag_corrects_is_still_reported(tmp_path):
    file = tmp_path / "p.yaml"
    file.write_text("west_region: no\n")
    (problem,) = problems(file=file, overrides={"west_region": "nyc1"})
    assert problem.startswith(f"{file}:1: west_region: ")


def test_problems_of_all_sources_come_together():
    found = problems(overrides={"seed": "x", "foo": "1"}, environ={"LABKIT_NODE_COUNT": "-1"})
    assert found == (
        "-p: seed: `x` is not a whole number",
        "-p: foo: unknown key; `labkit config` lists them all",
        "LABKIT_NODE_COUNT: node_count: must be at least 0, not `-1`",
    )


def test_other_variables_of_ours_are_no_parameters():
    assert load_params(environ={"LABKIT_LISTEN": "{}", "LABKIT_HOME": "/x"}).params == Params()


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_what_is_no_number_is_refused(value):
    assert len(problems(overrides={"wan_rtt_ms": value})) == 1


def test_a_secret_is_refused_and_not_repeated():
    token = "dop_v1_" + "0123456789abcdef" * 4
    found = problems(overrides={"lab_name": token, "do_token": token})
    assert len(found) == 2
    assert all("DIGITALOCEAN_TOKEN" in problem and token not in problem for problem in found)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"a" * 1_000_001])
def test_a_file_that_is_no_params_file_is_named(tmp_path, content):
    file = tmp_path / "p.yaml"
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"p\.yaml"):
        load_params(file)


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        load_params(tmp_path / "missing.yaml")
    with pytest.raises(InputError, match="cannot be read"):
        load_params(tmp_path)


@pytest.mark.parametrize(
    "file",
    [f for f in sorted((ROOT / "params").glob("*.yaml")) if not f.name.startswith("sweep-")],
    ids=lambda f: f.name,
)
def test_every_shipped_params_file_is_valid(file):
    load_params(file)


def test_the_tutorial_s_file_has_the_tutorial_s_shape():
    values = load_params(ROOT / "params" / "tutorial.yaml").params
    assert (values.west_region, values.east_region) == ("sfo3", "syd1")
    assert (values.node_size, values.node_count) == ("s-8vcpu-16gb", 3)
    assert values.linkerd_profile == "tutorial"


def test_papermill_gets_plain_types_that_make_the_same_parameters():
    values = to_papermill(Params())
    assert all(v is None or type(v) in {str, int, float, bool} for v in values.values())
    assert Params.model_validate(values) == Params()
    assert json.loads(json.dumps(values)) == values


def test_the_schema_describes_every_key():
    schema = json_schema()
    assert list(schema["properties"]) == list(Params.model_fields)
    assert schema["additionalProperties"] is False
    assert all(field["description"].strip() for field in schema["properties"].values())


def test_the_model_itself_refuses_what_does_not_fit_together():
    with pytest.raises(ValidationError, match="same region twice"):
        Params(west_region="syd1", east_region="syd1")


def test_parameters_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        Params().seed = 1


# YAML itself folds the separators NEL, LS and PS of Unicode in quoted text.
TEXT = st.text(
    st.characters(exclude_characters="\x85\u2028\u2029", codec="utf-8"), max_size=12
).filter(
    # YAML 1.1 writes 08 and 1e3 as plain text, YAML 1.2 reads them as numbers.
    lambda text: re.fullmatch(r"[-+]?[.\d][\deE.+-]*", text) is None
)


@given(st.dictionaries(st.text("abc_ñ", min_size=1, max_size=6), TEXT, max_size=4))
def test_text_that_yaml_writes_is_read_back(values):
    text = yaml.safe_dump(values, allow_unicode=True, sort_keys=False)
    document = parse_document(text, name="p")
    read = {e.key: e.value for e in document.entries}
    assert not document.problems
    assert read == values


@given(st.text(max_size=60))
def test_any_text_is_read_or_reported(text):
    document = parse_document(text, name="p")
    assert isinstance(document.problems, tuple)
