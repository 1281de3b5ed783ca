"""Injection by annotation: what changes, what does not, what is reported."""

import json

import pytest
import yaml

DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web"},
    "spec": {"template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": []}}},
}
NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "emojivoto"}}
SERVICE = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web-svc"}}
ENABLED = {"linkerd.io/inject": "enabled"}


def text(*items: dict) -> str:
    return "---\n".join(yaml.safe_dump(item) for item in items)


def test_workloads_and_namespaces_are_annotated_and_services_are_not(linkerd, parse):
    result = linkerd("inject", "-", stdin=text(NAMESPACE, DEPLOYMENT, SERVICE))
    namespace, deployment, service = parse(result.stdout)
    assert namespace["metadata"]["annotations"] == ENABLED
    assert deployment["spec"]["template"]["metadata"]["annotations"] == ENABLED
    assert "annotations" not in deployment["metadata"]
    assert service == SERVICE
    assert result.returncode == 0


def test_the_report_is_on_stderr_after_an_empty_line(linkerd):
    result = linkerd("inject", "-", stdin=text(DEPLOYMENT, SERVICE))
    assert result.stderr == '\ndeployment "web" injected\nservice "web-svc" skipped\n\n'


def test_nothing_to_inject_is_a_warning_and_no_error(linkerd):
    result = linkerd("inject", "-", stdin=text(SERVICE))
    assert "no supported objects found" in result.stderr
    assert result.returncode == 0


def test_injecting_twice_changes_nothing(linkerd, parse):
    once = linkerd("inject", "-", stdin=text(DEPLOYMENT)).stdout
    assert linkerd("inject", "-", stdin=once).stdout == once


def test_a_workload_that_declines_is_left_alone(linkerd, parse):
    item = json.loads(json.dumps(DEPLOYMENT))
    item["spec"]["template"]["metadata"]["annotations"] = {"linkerd.io/inject": "disabled"}
    result = linkerd("inject", "-", stdin=text(item))
    assert parse(result.stdout) == [item]
    assert 'deployment "web" skipped' in result.stderr


def test_uninject_is_the_inverse(linkerd, parse):
    injected = linkerd("inject", "-", stdin=text(NAMESPACE, DEPLOYMENT)).stdout
    result = linkerd("uninject", "-", stdin=injected)
    namespace, deployment = parse(result.stdout)
    assert not namespace["metadata"]["annotations"]
    assert not deployment["spec"]["template"]["metadata"]["annotations"]
    assert 'deployment "web" uninjected' in result.stderr


def test_lists_and_cron_jobs_and_files_and_folders(linkerd, tmp_path, parse):
    job = {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "nightly"},
        "spec": {"jobTemplate": {"spec": {"template": {"spec": {"containers": []}}}}},
    }
    (tmp_path / "a.yaml").write_text(
        text({"apiVersion": "v1", "kind": "List", "items": [DEPLOYMENT]})
    )
    (tmp_path / "b.yml").write_text(text(job))
    listed, cron = parse(linkerd("inject", str(tmp_path)).stdout)
    assert listed["items"][0]["spec"]["template"]["metadata"]["annotations"] == ENABLED
    template = cron["spec"]["jobTemplate"]["spec"]["template"]
    assert template["metadata"]["annotations"] == ENABLED


def test_json_is_one_document_a_line(linkerd):
    result = linkerd("inject", "-", "-o", "json", stdin=text(DEPLOYMENT, SERVICE))
    assert [json.loads(line)["kind"] for line in result.stdout.splitlines()] == [
        "Deployment",
        "Service",
    ]


@pytest.mark.parametrize("stdin", ["a: [", "- 1\n", "just: words\n"])
def test_what_is_no_manifest_is_an_error(linkerd, stdin):
    result = linkerd("inject", "-", stdin=stdin)
    assert result.returncode == 1
    assert "-" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_missing_file_is_an_error(linkerd):
    result = linkerd("inject", "/nonexistent.yml")
    assert result.returncode == 1
    assert "/nonexistent.yml" in result.stderr
