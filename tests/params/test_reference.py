"""The written reference of the parameters is what the model says.

To regenerate: `LABKIT_REGENERATE=1 python -m pytest tests/params`, then read the difference.
"""

import json
import os
from pathlib import Path

from labkit.params import Params, json_schema

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = ROOT / "params" / "schema.json"
REFERENCE = ROOT / "docs" / "parameters.md"
HEAD = """# Parameters

One flat file, `params/*.yaml`; `-p key=value` and `LABKIT_KEY` say the same. Precedence: flag,
environment, file, default; `labkit config` shows each value with its origin. An unknown key is an
error, all problems are reported at once, and no secret is ever a parameter: the token comes from
`DIGITALOCEAN_TOKEN`. Editors check files against `params/schema.json`.

| Key | Default | Meaning |
|---|---|---|
"""


def reference():
    rows = [
        f"| `{key}` | {_default(field.default)} | {field.description} |"
        for key, field in Params.model_fields.items()
    ]
    return HEAD + "\n".join(rows) + "\n"


def _default(value):
    return f"`{json.dumps(value)}`".replace('"', "")


def check(file, text):
    if os.environ.get("LABKIT_REGENERATE"):
        file.write_text(text)
    assert file.read_text() == text


def test_the_reference_lists_every_parameter_as_the_model_has_it():
    check(REFERENCE, reference())


def test_the_schema_in_the_repository_is_the_model_s():
    check(SCHEMA, json.dumps(json_schema(), indent=2) + "\n")


def test_every_shipped_params_file_names_the_schema():
    for file in sorted((ROOT / "params").glob("*.yaml")):
        if file.name.startswith("sweep-"):
            continue  # its parameters are only a part of it
        assert file.read_text().startswith("# yaml-language-server: $schema=schema.json\n")
