"""Answers that a client meets by the way: dry runs, logs, two versions of one object."""

import pytest

from labkit.embedded.kube import KubeClient, KubeError, path_of

NAMESPACES = path_of("v1", "namespaces")
PODS = path_of("v1", "pods", "default")
POD = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "x"}]}}


async def test_a_dry_run_of_finalize_changes_nothing(kube: KubeClient):
    await kube.create(NAMESPACES, {"metadata": {"name": "kept"}})
    body = {"metadata": {"name": "kept"}, "spec": {"finalizers": []}}
    await kube.replace(f"{NAMESPACES}/kept/finalize", body, dryRun="All")
    kept = await kube.get(f"{NAMESPACES}/kept")
    assert kept["spec"]["finalizers"] == ["kubernetes"]


async def test_logs_are_refused_when_their_options_make_no_sense(kube: KubeClient):
    await kube.create(PODS, POD)
    with pytest.raises(KubeError) as refused:
        await kube.get(f"{PODS}/p/log", tailLines=-1)
    assert refused.value.status == 422


async def test_an_autoscaler_is_one_object_in_two_versions(kube: KubeClient):
    first = path_of("autoscaling/v1", "horizontalpodautoscalers", "default")
    second = path_of("autoscaling/v2", "horizontalpodautoscalers", "default")
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}
    spec = {"scaleTargetRef": target, "maxReplicas": 3, "targetCPUUtilizationPercentage": 60}
    await kube.create(first, {"metadata": {"name": "h"}, "spec": spec})
    (metric,) = (await kube.get(f"{second}/h"))["spec"]["metrics"]
    assert metric["resource"]["target"]["averageUtilization"] == 60
    assert (await kube.get(f"{first}/h"))["spec"]["targetCPUUtilizationPercentage"] == 60


async def test_a_new_object_has_no_resource_version(kube: KubeClient):
    with pytest.raises(KubeError) as refused:
        await kube.create(PODS, {**POD, "metadata": {"name": "q", "resourceVersion": "5"}})
    assert refused.value.status == 500
