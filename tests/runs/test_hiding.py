"""What a kept notebook must not show."""

import json

from labkit.folder import LabFolder
from labkit.params import Params
from labkit.runs import hiding


def test_secrets_of_a_lab_are_known_by_value(tmp_path, monkeypatch):
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path))
    monkeypatch.setenv("DIGITALOCEAN_TOKEN", "an-account-token")
    folder = LabFolder.of("demo")
    folder.prepare()
    assert hiding.secrets(Params()) == {"an-account-token": "***"}
    users = [{"user": {"token": "tok-of-west"}}, {"user": {"client-key-data": "a2V5LW9mLWVhc3Q="}}]
    folder.kubeconfig.write_text(json.dumps({"users": users}))
    assert set(hiding.secrets(Params())) == {"an-account-token", "tok-of-west", "a2V5LW9mLWVhc3Q="}
    folder.kubeconfig.write_text("{")
    assert set(hiding.secrets(Params())) == {"an-account-token"}
    folder.cloud_state.mkdir()
    (folder.cloud_state / "token").write_text("of-the-embedded-cloud\n")
    assert set(hiding.secrets(Params())) == {"an-account-token", "of-the-embedded-cloud"}


def test_a_home_that_is_the_root_folder_hides_no_slash(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/")
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path))
    assert "/" not in hiding.paths(Params(), tmp_path / "runs" / "r")
