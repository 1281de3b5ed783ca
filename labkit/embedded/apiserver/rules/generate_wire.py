"""Makes the tables of protobuf field numbers and enumerations from Kubernetes' Go types.

`kubectl create` sends protobuf; the numbers stand in the struct tags of the Go types, the values
of enumerations in their constants. Both tables are made from Debian's packages of these types
(trixie: golang-k8s-api-dev 0.32.3-1 and golang-k8s-apimachinery-dev 0.32.3-2, Apache-2.0). Field
numbers never change; what came into Kubernetes later is not needed to read kubectl's bodies, and
values of enumerations that came later stand in `LATER`. To make them again::

    apt-get download golang-k8s-api-dev golang-k8s-apimachinery-dev
    dpkg -x golang-k8s-api-dev_*.deb go; dpkg -x golang-k8s-apimachinery-dev_*.deb go
    python -m labkit.embedded.apiserver.rules.generate_wire go/usr/share/gocode/src/k8s.io

Nothing here runs while a lab runs.
"""

import gzip
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labkit.embedded.apiserver.rules.generate import SERVED

OUTPUT = Path(__file__).with_name("data") / "wire.json.gz"
ENUMS = Path(__file__).with_name("data") / "enums.json.gz"
ENUM_TYPE = re.compile(r"^// \+enum\n(?://.*\n)*type (\w+) string$", re.MULTILINE)
CONSTANT = re.compile(r'^\s*\w+(?:\s+(\w+))?\s*=\s*(?:(\w+)\()?"([^"]*)"', re.MULTILINE)
STRUCT = re.compile(r"^type (\w+) struct \{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
ALIAS = re.compile(r"^type (\w+) ([\w.\[\]*]+)$", re.MULTILINE)
IMPORT = re.compile(r'^\s*(\w+)?\s*"(k8s\.io/[\w./-]+)"$', re.MULTILINE)
FIELD = re.compile(r"^\s*(?:\w+\s+)?(\S+)\s+`([^`]*)`", re.MULTILINE)
LATER = {
    ("io.k8s.api.core.v1.Toleration", "operator"): ["Gt", "Lt"],
    ("io.k8s.api.core.v1.ResourceQuotaSpec", "scopes"): ["VolumeAttributesClass"],
    ("io.k8s.api.core.v1.ScopedResourceSelectorRequirement", "scopeName"): [
        "VolumeAttributesClass"
    ],
}
"""Values that Kubernetes 1.36 documents and 1.32 did not have: (definition, field) -> values."""

BUILTIN = {
    "string": "s",
    "bool": "b",
    "int32": "i",
    "int64": "i",
    "int": "i",
    "uint8": "i",
    "float64": "d",
    "[]byte": "y",
}
SPECIAL = {
    "meta/v1.Time": "!time",
    "meta/v1.MicroTime": "!microtime",
    "meta/v1.Duration": "!duration",
    "meta/v1.FieldsV1": "!raw",
    "intstr.IntOrString": "!intorstring",
    "resource.Quantity": "!text",
    "runtime.RawExtension": "!raw",
    "types.UID": "s",
    "types.NodeName": "s",
}


@dataclass
class Package:
    """The types of one Go package: structs with their text, other types with their definition."""

    name: str
    structs: dict[str, str] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    imports: dict[str, str] = field(default_factory=dict)
    enums: dict[str, list[str]] = field(default_factory=dict)


def read_package(name: str, folder: Path) -> Package:
    """Reads the types of a package's sources (tests and generated code left out)."""
    package = Package(name)
    for path in sorted(folder.glob("*.go")):
        if path.name.endswith("_test.go") or "generated" in path.name:
            continue
        text = path.read_text()
        package.structs |= dict(STRUCT.findall(text))
        package.aliases |= dict(ALIAS.findall(text))
        package.enums |= {name: [] for name in ENUM_TYPE.findall(text)}
        for declared, converted, value in CONSTANT.findall(text):
            kind = declared or converted
            if kind in package.enums and value not in package.enums[kind]:
                package.enums[kind].append(value)
        for kind in [kind for kind in package.enums if _refers(kind, text)]:
            del package.enums[kind]
        for alias, target in IMPORT.findall(text):
            package.imports[alias or target.rsplit("/", 1)[-1]] = target
    return package


def _refers(kind: str, text: str) -> bool:
    """Tells whether a value of an enumeration is not written out, so that the list has gaps."""
    other = rf'=\s*{kind}\([^"]|^\s*\w+\s+{kind}\s*=\s*[^"\s]'
    return re.search(other, text, re.MULTILINE) is not None


def short(target: str) -> str:
    """`k8s.io/api/core/v1` -> `core/v1`; `…/apis/meta/v1` -> `meta/v1`; others: the last word."""
    parts = target.split("/")
    return "/".join(parts[-2:]) if re.fullmatch(r"v\d\w*", parts[-1]) else parts[-1]


class Table:
    """Collects messages, following the types of their fields."""

    def __init__(self, packages: dict[str, Package]) -> None:
        self.packages = packages
        self.messages: dict[str, list[list[Any]]] = {}

    def add(self, name: str) -> None:
        """Adds a message and everything it refers to."""
        package, _, struct = name.rpartition(".")
        text = self.packages.get(package, Package("")).structs.get(struct)
        if name in self.messages or text is None:
            return
        fields = self.messages[name] = []
        fields.extend(self._fields(self.packages[package], text))

    def _fields(self, package: Package, text: str) -> Iterator[list[Any]]:
        for go_type, tags in FIELD.findall(text):
            wire = re.search(r'protobuf:"(\w+),(\d+),(\w+)', tags)
            names = re.search(r'json:"([^",]*)([^"]*)"', tags)
            if wire is None or names is None:
                continue
            inline = "inline" in names[2]
            optional = "omit" in names[2]
            kind = self.kind(package, go_type, repeated=wire[3] == "rep")
            yield [int(wire[2]), "" if inline else names[1], kind, int(optional)]

    def kind(self, package: Package, go_type: str, *, repeated: bool = False) -> str:
        """Returns the code of a Go type; adds the messages that it names."""
        if go_type.startswith("*"):
            return "*" + self.kind(package, go_type[1:], repeated=repeated)
        if go_type in BUILTIN:
            return BUILTIN[go_type]
        if go_type.startswith("[]"):
            return "[" + self.kind(package, go_type[2:])
        if go_type.startswith("map["):
            return "{" + self.kind(package, go_type.split("]", 1)[1])
        prefix, _, name = go_type.rpartition(".")
        home = short(package.imports.get(prefix, prefix)) if prefix else package.name
        full = f"{home}.{name}"
        if full in SPECIAL:
            return SPECIAL[full]
        owner = self.packages.get(home)
        if owner is not None and name in owner.aliases:
            inner = self.kind(owner, owner.aliases[name])
            wrapped = inner[0] == "[" and not repeated
            return f"({inner[1:]}" if wrapped else inner
        self.add(full)
        return f"m{full}"


def build(api: Path, machinery: Path) -> dict[str, list[list[Any]]]:
    """Returns message -> fields `[number, JSON name or "", kind, optional]`."""
    packages = {
        f"{group}/{version}": read_package(f"{group}/{version}", api / group / version)
        for group, versions in SERVED.items()
        for version in versions.split()
    }
    packages["meta/v1"] = read_package("meta/v1", machinery / "pkg/apis/meta/v1")
    table = Table(packages)
    for name, package in packages.items():
        for struct, text in package.structs.items():
            if "TypeMeta" in text and not struct.endswith("List"):
                table.add(f"{name}.{struct}")
    return dict(sorted(table.messages.items()))


def enumerations(api: Path) -> dict[str, dict[str, list[str]]]:
    """Returns definition -> JSON name of a field -> the values that it may have."""
    result: dict[str, dict[str, list[str]]] = {}
    for group, versions in SERVED.items():
        for version in versions.split():
            package = read_package(f"{group}/{version}", api / group / version)
            for struct, text in package.structs.items():
                for go_type, tags in FIELD.findall(text):
                    values = package.enums.get(go_type.removeprefix("*").removeprefix("[]"))
                    name = re.search(r'json:"([^",]+)', tags)
                    if values and name:
                        definition = f"io.k8s.api.{group}.{version}.{struct}"
                        values = [*values, *LATER.get((definition, name[1]), ())]
                        result.setdefault(definition, {})[name[1]] = sorted(values)
    return dict(sorted(result.items()))


def main(arguments: list[str]) -> int:
    """Writes the tables beside this module."""
    (sources,) = map(Path, arguments)
    api, machinery = sources / "api", sources / "apimachinery"
    for path, value in ((OUTPUT, build(api, machinery)), (ENUMS, enumerations(api))):
        text = json.dumps(value, separators=(",", ":")).encode()
        path.write_bytes(gzip.compress(text, 9, mtime=0))
        sys.stderr.write(f"{path.name}: {len(text)} bytes, {path.stat().st_size} compressed\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
