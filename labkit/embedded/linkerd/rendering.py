"""Renders the manifests: Jinja templates below `manifests/`, values in, YAML out.

The objects carry the names, labels, annotations and ports that Linkerd's own installs give them.
Deliberately absent: Helm, hooks and any reading of the cluster; what a manifest needs to know of
it is passed in.
"""

import base64
import hashlib
import json
import re
from functools import cache
from typing import Any

import yaml
from jinja2 import BaseLoader, Environment, StrictUndefined

from labkit.embedded.linkerd import reading
from labkit.embedded.linkerd.values import manifest

VERSION = "edge-26.6.3"
"""The release whose behaviour and objects this command has: Linkerd 2.20."""

CREATED_BY = f"linkerd/cli {VERSION}"
CHART_VERSION = "2026.6.3"


class _Dumper(yaml.SafeDumper):
    """Block style with literal blocks, so that certificates stay readable."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def to_yaml(value: Any) -> str:
    """One YAML document, keys sorted, without a trailing newline."""
    return str(yaml.dump(value, Dumper=_Dumper, default_flow_style=False, width=10_000)).rstrip()


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode()


def _b64(value: str | bytes) -> str:
    return base64.b64encode(_bytes(value)).decode()


def _sha256(value: str | bytes) -> str:
    return hashlib.sha256(_bytes(value)).hexdigest()


@cache
def _environment() -> Environment:
    # The output is YAML, not HTML: there is nothing to escape.
    environment = Environment(
        loader=BaseLoader(),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701 - YAML, not HTML
    )
    environment.filters.update(b64=_b64, sha256=_sha256, toyaml=to_yaml, tojson=json.dumps)
    return environment


def render(template: str, **variables: Any) -> str:
    """Render `manifests/TEMPLATE.j2` and drop empty lines, comments stay out by construction.

    Raises:
        jinja2.UndefinedError: the template names a value that does not exist.
    """
    text = (
        _environment()
        .from_string(manifest(f"{template}.j2"))
        .render(created_by=CREATED_BY, chart_version=CHART_VERSION, **variables)
    )
    return re.sub(r"\n\s*\n+", "\n", text).strip("\n") + "\n"


def documents(text: str) -> list[dict[str, Any]]:
    """The objects of a YAML stream, in order, without empty documents."""
    return [item for item in reading.load_all(text) if item]


def as_json(text: str) -> str:
    """A YAML stream as one compact JSON document per line (`-o json`)."""
    return "".join(json.dumps(item, separators=(",", ":")) + "\n" for item in documents(text))
