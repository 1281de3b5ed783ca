"""`linkerd inject` and `uninject`: annotate workloads, report on stderr.

What is injected happens later, in the cluster, by the webhook; this only sets or removes
`linkerd.io/inject` on pod templates and namespaces. Deliberately absent: `--manual` and URLs.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from labkit.embedded.linkerd import reading
from labkit.embedded.linkerd.output import err, out
from labkit.errors import InputError

Object = dict[str, Any]

_ANNOTATION = "linkerd.io/inject"
_TEMPLATE = ("spec", "template")
_TEMPLATES: dict[str, tuple[str, ...]] = {
    "Deployment": _TEMPLATE,
    "DaemonSet": _TEMPLATE,
    "StatefulSet": _TEMPLATE,
    "ReplicaSet": _TEMPLATE,
    "ReplicationController": _TEMPLATE,
    "Job": _TEMPLATE,
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
    "Pod": (),
    "Namespace": (),
}
_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def _flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", metavar="FILE", help="file, folder or -")
    parser.add_argument("-o", "--output", choices=["yaml", "json"], default="yaml")
    parser.add_argument("--ignore-cluster", action="store_true", help=argparse.SUPPRESS)


def inject_flags(parser: argparse.ArgumentParser) -> None:
    """Flags of `inject`."""
    _flags(parser)
    parser.add_argument("--ingress", action="store_true", help="proxy in ingress mode")


def uninject_flags(parser: argparse.ArgumentParser) -> None:
    """Flags of `uninject`."""
    _flags(parser)


def inject(options: argparse.Namespace) -> int:
    """`linkerd inject FILE|DIR|-`."""
    value = "ingress" if options.ingress else "enabled"
    return _transform(options, lambda item: _annotate(item, value), done="injected")


def uninject(options: argparse.Namespace) -> int:
    """`linkerd uninject FILE|DIR|-`."""
    return _transform(options, _strip, done="uninjected")


def _transform(options: argparse.Namespace, change: Callable[[Object], str], *, done: str) -> int:
    documents = [document for name in options.files for document in _read(name)]
    lines: list[str] = []
    unsupported = True
    for item in _walk(documents):
        problem = change(item)
        unsupported = unsupported and bool(problem)
        lines.append(f"{_name(item)} {problem or done}")
    if options.output == "json":
        out("\n".join(json.dumps(document, separators=(",", ":")) for document in documents))
    else:
        out("---\n".join(_dump(document) for document in documents) + "---\n")
    warning = ["‼ no supported objects found", ""] if unsupported else []
    err("\n" + "\n".join([*warning, *lines]) + "\n\n")
    return 0


def _name(item: Object) -> str:
    name = (item.get("metadata") or {}).get("name", "")
    return f'{str(item.get("kind", "")).lower()} "{name}"'


def _dump(document: Object) -> str:
    return str(yaml.dump(document, Dumper=_DUMPER, default_flow_style=False, width=10_000))


def _texts(name: str) -> Iterator[str]:
    if name == "-":
        yield sys.stdin.read()
        return
    path = Path(name)
    try:
        if path.is_dir():
            for file in sorted(path.rglob("*.y*ml")):
                yield file.read_text(encoding="utf-8")
        else:
            yield path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"failed to read {name}: {error}") from error


def _read(name: str) -> Iterator[Object]:
    for text in _texts(name):
        try:
            for document in reading.load_all(text):
                if document is None:
                    continue
                if not isinstance(document, dict) or "kind" not in document:
                    raise InputError(f"{name} holds a document that is no Kubernetes object")
                yield document
        except yaml.YAMLError as error:
            raise InputError(f"failed to parse {name}: {error}") from error


def _walk(documents: list[Object]) -> Iterator[Object]:
    for document in documents:
        if str(document.get("kind", "")).endswith("List") and "items" in document:
            yield from document["items"] or []
        else:
            yield document


def _metadata(item: Object) -> Object | None:
    """Metadata of the object that carries the annotation, None for kinds without pods."""
    path = _TEMPLATES.get(str(item.get("kind")))
    if path is None:
        return None
    node = item
    for step in path:
        child = node.get(step)
        if not isinstance(child, dict):
            return None
        node = child
    metadata: Object = node.setdefault("metadata", {}) or {}
    node["metadata"] = metadata
    return metadata


def _has_proxy(item: Object) -> bool:
    node = item
    for step in _TEMPLATES.get(str(item.get("kind")), ()):
        node = node.get(step) or {}
    spec = node.get("spec") or {}
    containers = [*(spec.get("containers") or []), *(spec.get("initContainers") or [])]
    return any(container.get("name") == "linkerd-proxy" for container in containers)


def _annotate(item: Object, value: str) -> str:
    """Ask for injection; returns why not, or nothing."""
    metadata = _metadata(item)
    if metadata is None:
        return "skipped"
    annotations = metadata.get("annotations") or {}
    if annotations.get(_ANNOTATION) == "disabled":
        return f'skipped: "{_ANNOTATION}: disabled" annotation set'
    if _has_proxy(item):
        return "skipped: has a sidecar already"
    metadata["annotations"] = {**annotations, _ANNOTATION: value}
    return ""


def _strip(item: Object) -> str:
    metadata = _metadata(item)
    annotations = (metadata or {}).get("annotations") or {}
    if metadata is None or _ANNOTATION not in annotations:
        return "skipped"
    metadata["annotations"] = {k: v for k, v in annotations.items() if k != _ANNOTATION}
    return ""
