"""`linkerd viz install`: metrics, Prometheus, tap and the dashboard.

Every rendering makes new certificates for tap, as the real command's does. Deliberately absent:
an external Prometheus, Grafana and Jaeger.
"""

import argparse

from labkit.embedded.linkerd.cluster import Cluster
from labkit.embedded.linkerd.install import given_values, value_flags, write
from labkit.embedded.linkerd.multicluster import linkerd_config
from labkit.embedded.linkerd.trust import webhook_tls
from labkit.embedded.linkerd.values import Values, defaults, merge

NAMESPACE = "linkerd-viz"


def install_flags(parser: argparse.ArgumentParser) -> None:
    """Flags of `viz install`."""
    parser.add_argument("--skip-checks", action="store_true")
    parser.add_argument("--wait", default="300s")
    value_flags(parser)


def install(options: argparse.Namespace) -> int:
    """`linkerd viz install`."""
    user: Values = {"linkerdNamespace": options.linkerd_namespace}
    if not (options.ignore_cluster or options.skip_checks):
        config = linkerd_config(Cluster.of(options), options.linkerd_namespace)
        user["clusterDomain"] = config["clusterDomain"]
        user["identityTrustDomain"] = config["identityTrustDomain"]
    if options.ha:
        replicas = {"replicas": 3}
        user |= {"metricsAPI": replicas, "tap": replicas, "tapInjector": replicas}
    if options.registry:
        user["defaultRegistry"] = options.registry
    write(options, render_viz(merge(user, given_values(options))))
    return 0


def render_viz(user: Values, *, namespace: str = NAMESPACE) -> str:
    """The extension as YAML, from values that differ from the defaults."""
    from labkit.embedded.linkerd.rendering import render

    values = merge(defaults("viz"), user)
    prometheus = values["prometheus"]
    arguments = {
        "log.level": prometheus["logLevel"],
        "config.file": "/etc/prometheus/prometheus.yml",
        "storage.tsdb.path": "/data",
        **prometheus["args"],
    }
    config = render(
        "prometheus.yml",
        config=prometheus["globalConfig"],
        namespace=namespace,
        linkerd_namespace=values["linkerdNamespace"],
    )
    return render(
        "viz.yaml",
        namespace=namespace,
        values=values,
        prometheus_config=config.rstrip(),
        prometheus_args=[f"--{key}={value}" for key, value in sorted(arguments.items())],
        tls=webhook_tls(("tap", "tap-injector"), namespace),
    )
