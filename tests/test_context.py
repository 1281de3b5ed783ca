"""A lab's clients lead to the clusters that its kubeconfig names now."""

import pytest
import yaml

from labkit.clouds import open_cloud
from labkit.context import LabContext
from labkit.errors import StateError
from labkit.folder import LabFolder
from labkit.params import Params


@pytest.fixture
def lab(tmp_path):
    folder, params = LabFolder(tmp_path / "demo"), Params()
    folder.prepare()
    return LabContext(params, folder, open_cloud(params, folder))


def point_to(lab, port):
    """A kubeconfig as `labkit up` writes it: a file of its own that takes the old one's place."""
    server = {"server": f"https://127.0.0.1:{port}"}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "west", "cluster": server}],
        "users": [{"name": "user", "user": {"token": "t"}}],
        "contexts": [{"name": "west", "context": {"cluster": "west", "user": "user"}}],
    }
    written = lab.folder.root / "kubeconfig.new"
    written.write_text(yaml.safe_dump(content))
    written.replace(lab.folder.kubeconfig)


def test_a_client_is_kept(lab):
    point_to(lab, 1)
    assert lab.kubernetes("west") is lab.kubernetes("west")
    assert lab.prometheus("west") is lab.prometheus("west")


def test_a_lab_that_came_up_again_is_asked_at_its_new_address(lab):
    point_to(lab, 1)
    assert lab.kubernetes("west").server.endswith(":1")
    assert lab.prometheus("west").cluster.server.endswith(":1")
    lab.folder.kubeconfig.unlink()
    with pytest.raises(StateError, match="has no clusters yet"):
        lab.kubernetes("west")
    point_to(lab, 2)
    assert lab.prometheus("west").cluster.server.endswith(":2")
    assert lab.kubernetes("west").server.endswith(":2")
