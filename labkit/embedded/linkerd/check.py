"""`linkerd check`, `multicluster check` and `viz check`.

The core's check ends with those of every installed extension, which in JSON are further objects
after the first. Deliberately absent: extensions as programs on PATH; an unknown one is a warning.
"""

import argparse
from collections.abc import Sequence

from labkit.embedded.linkerd import (
    checks_core,
    checks_identity,
    checks_multicluster,
    checks_proxies,
    checks_viz,
)
from labkit.embedded.linkerd.checking import (
    Category,
    Context,
    Outcome,
    as_object,
    run_checks,
    seconds,
    succeeded,
    write_table,
    write_verdict,
)
from labkit.embedded.linkerd.cluster import Cluster
from labkit.embedded.linkerd.output import out, out_json
from labkit.errors import KubernetesError, LabkitError

_EXTENSIONS = {"viz": checks_viz.categories, "multicluster": checks_multicluster.categories}


def _flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-o", "--output", choices=["table", "json", "short"], default="table")
    parser.add_argument("--wait", default="300s")
    parser.add_argument("-n", "--namespace", default="")
    parser.add_argument("--proxy", action="store_true", help="check the data plane too")


def core_flags(parser: argparse.ArgumentParser) -> None:
    """Flags of `check`."""
    _flags(parser)
    parser.add_argument("--pre", action="store_true", help="checks before an install")
    parser.add_argument("--crds", action="store_true", help="check the custom resources only")
    parser.add_argument("--linkerd-cni-enabled", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--expected-version", default="", help=argparse.SUPPRESS)
    parser.add_argument("--cli-version-override", default="", help=argparse.SUPPRESS)


def multicluster_flags(parser: argparse.ArgumentParser) -> None:
    """Flags of `multicluster check`."""
    _flags(parser)
    parser.add_argument("--timeout", default="10s", help=argparse.SUPPRESS)


viz_flags = _flags


def core(options: argparse.Namespace) -> int:
    """`linkerd check [--pre|--crds|--proxy]`."""
    if options.pre and (options.proxy or options.crds):
        raise LabkitError("--pre cannot be used with --proxy or --crds")
    context = _context(options)
    wait_s = seconds(options.wait)
    outcomes = run_checks(_core_categories(options), context, wait_s)
    reports: list[Sequence[Outcome]] = [outcomes]
    complete = options.output == "json"
    if not complete:
        out("Linkerd core checks\n===================\n")
        write_table(outcomes, short=options.output == "short")
    if not (options.pre or options.crds) and succeeded(outcomes):
        names = _extensions(context)
        if names and not complete:
            out("Linkerd extensions checks\n=========================\n")
        for name in names:
            reports.append(_extension(name, context, wait_s, proxy=options.proxy))
            if not complete:
                write_table(reports[-1], short=options.output == "short")
    everything = [outcome for report in reports for outcome in report]
    if complete:
        for report in reports:
            out_json(as_object(report))
    else:
        write_verdict(everything)
    return 0 if succeeded(everything) else 1


def _context(options: argparse.Namespace) -> Context:
    return Context(Cluster.of(options), options.linkerd_namespace, options.namespace)


def _core_categories(options: argparse.Namespace) -> list[Category]:
    api = [checks_core.KUBERNETES_API, checks_core.KUBERNETES_VERSION]
    if options.pre:
        return [*api, checks_core.PRE_SETUP, checks_core.LINKERD_VERSION]
    if options.crds:
        return [*api, checks_core.CRDS, checks_core.LINKERD_VERSION]
    head = [
        *api,
        checks_core.EXISTENCE,
        checks_core.CONFIG,
        checks_identity.IDENTITY,
        checks_identity.WEBHOOKS,
    ]
    if options.proxy:
        return [
            *head,
            checks_identity.DATA_PLANE_IDENTITY,
            checks_core.LINKERD_VERSION,
            checks_proxies.CONTROL_PLANE_PROXY,
            checks_proxies.DATA_PLANE,
        ]
    return [
        *head,
        checks_core.LINKERD_VERSION,
        checks_core.CONTROL_PLANE_VERSION,
        checks_proxies.CONTROL_PLANE_PROXY,
        checks_core.EXTENSIONS,
    ]


def _extensions(context: Context) -> list[str]:
    namespaces = context.cluster.list("/api/v1/namespaces", labelSelector="linkerd.io/extension")
    return sorted({item["metadata"]["labels"]["linkerd.io/extension"] for item in namespaces})


def _extension(name: str, context: Context, wait_s: float, *, proxy: bool) -> list[Outcome]:
    categories = _EXTENSIONS.get(name)
    if categories is None:
        text = f"Linkerd extension command linkerd-{name} does not exist"
        return [Outcome(name, f"Linkerd extension command linkerd-{name} exists", "warning", text)]
    return run_checks(categories(proxy=proxy), context, wait_s)


def multicluster(options: argparse.Namespace) -> int:
    """`linkerd multicluster check`."""
    return _one_extension(options, "multicluster")


def viz(options: argparse.Namespace) -> int:
    """`linkerd viz check`."""
    return _one_extension(options, "viz")


def _one_extension(options: argparse.Namespace, name: str) -> int:
    context = _context(options)
    try:
        installed = name in _extensions(context)
    except KubernetesError as error:
        raise LabkitError(f"{error.what}: {error.seen}" if error.seen else error.what) from error
    if not installed:
        raise LabkitError(
            f"could not find extension {name}: is it installed?",
            fix=f"linkerd {name} install | kubectl apply -f -",
        )
    outcomes = _extension(name, context, seconds(options.wait), proxy=options.proxy)
    if options.output == "json":
        out_json(as_object(outcomes))
    else:
        write_table(outcomes, short=options.output == "short")
        write_verdict(outcomes)
    return 0 if succeeded(outcomes) else 1
