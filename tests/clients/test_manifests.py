"""Manifests as objects, in an order a cluster can take."""

import pytest

from labkit.clients.manifests import ordered, parse, reference
from labkit.errors import InputError


def test_lists_are_unfolded_and_empty_documents_dropped():
    text = "---\n---\nkind: List\nitems: [{kind: Pod, metadata: {name: a}}]\n---\nkind: Secret\n"
    assert [item["kind"] for item in parse(text)] == ["Pod", "Secret"]


@pytest.mark.parametrize("text", ["a: [", "- 1\n", "just text\n", "metadata: {}\n"])
def test_what_is_no_manifest_is_refused(text):
    with pytest.raises(InputError):
        parse(text)


def test_what_others_need_comes_first_and_webhooks_come_last():
    kinds = ["MutatingWebhookConfiguration", "Deployment", "Server", "Secret", "ServiceAccount",
             "CustomResourceDefinition", "Namespace"]  # fmt: skip
    found = [item["kind"] for item in ordered({"kind": kind} for kind in kinds)]
    assert found == ["Namespace", "CustomResourceDefinition", "ServiceAccount", "Secret",
                     "Deployment", "Server", "MutatingWebhookConfiguration"]  # fmt: skip


def test_an_object_is_named_with_its_namespace():
    assert reference({"kind": "Pod", "metadata": {"name": "a", "namespace": "b"}}) == "Pod b/a"
    assert reference({"kind": "Node", "metadata": {"name": "a"}}) == "Node a"
