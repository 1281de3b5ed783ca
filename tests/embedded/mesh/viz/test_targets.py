"""Which pods are scraped, and the labels that Linkerd's relabelling gives them."""

from labkit.embedded.mesh.viz.targets import pod_labels, scrape_interval_s, targets_of


def test_a_meshed_pod_is_a_target_with_linkerds_labels(helpers: type) -> None:
    pod = helpers.make_pod(sockets={"4191": "127.0.0.1:5000"})
    (target,) = targets_of([pod])
    assert target.url == "http://127.0.0.1:5000/metrics"
    assert dict(target.labels) == {
        "app": "web-svc",
        "control_plane_ns": "linkerd",
        "deployment": "web",
        "instance": "10.244.0.5:4191",
        "job": "linkerd-proxy",
        "namespace": "emojivoto",
        "pod": "web-1",
        "pod_template_hash": "abc",
        "workload_ns": "emojivoto",
    }


def test_pods_that_are_not_meshed_not_placed_or_over_are_no_targets(helpers: type) -> None:
    sockets = {"4191": "127.0.0.1:5000"}
    unmeshed = helpers.make_pod(sockets=sockets)
    unmeshed["spec"]["initContainers"] = []
    unplaced = helpers.make_pod()
    over = helpers.make_pod(sockets=sockets)
    over["status"]["phase"] = "Succeeded"
    foreign = helpers.make_pod(sockets=sockets, labels={"linkerd.io/control-plane-ns": "other"})
    assert targets_of([unmeshed, unplaced, over, foreign]) == set()


def test_a_service_mirror_is_scraped_without_pod_labels(helpers: type) -> None:
    pod = helpers.make_pod(
        app_sockets={"9999": "127.0.0.1:6000"}, labels={"component": "controller"}
    )
    pod["spec"]["containers"][0]["name"] = "controller"
    (target,) = targets_of([pod])
    assert target.url == "http://127.0.0.1:6000/metrics"
    assert dict(target.labels) == {
        "component": "controller",
        "instance": "10.244.0.5:9999",
        "job": "linkerd-multicluster-controller",
    }


def test_a_kubernetes_job_does_not_hide_the_scrape_job() -> None:
    assert pod_labels({"linkerd.io/proxy-job": "migrate"}) == {"k8s_job": "migrate"}


def test_the_interval_comes_from_the_configuration() -> None:
    assert scrape_interval_s("global:\n  scrape_interval: 2s\n") == 2
    assert scrape_interval_s("global:\n  scrape_interval: 500ms\n") == 0.5


def test_an_unreadable_configuration_means_ten_seconds() -> None:
    for text in ("", "global: {}", "::", "global:\n  scrape_interval: soon\n", "[]"):
        assert scrape_interval_s(text) == 10
