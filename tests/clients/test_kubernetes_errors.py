"""Every class that the official client and its parts may raise becomes one of ours."""

import inspect

import kubernetes.client.exceptions
import kubernetes.config.config_exception
import kubernetes.dynamic.exceptions
import pydantic
import pytest
import urllib3.exceptions
import websocket

from labkit.clients.kubernetes_errors import foreign_errors, translated
from labkit.errors import KubernetesError

NOT_OURS_TO_MEET = {
    # of the dynamic client and of the optional validation, which are not used
    "ResourceNotFoundError",
    "ResourceNotUniqueError",
    "KubernetesValidateMissing",
}


def classes_of(module):
    for name, member in vars(module).items():
        if inspect.isclass(member) and issubclass(member, Exception):
            if issubclass(member, Warning) or name in NOT_OURS_TO_MEET:
                continue
            yield member


FOREIGN = {
    *classes_of(kubernetes.client.exceptions),
    *classes_of(kubernetes.dynamic.exceptions),
    *classes_of(kubernetes.config.config_exception),
    *classes_of(urllib3.exceptions),
    *classes_of(websocket._exceptions),
    pydantic.ValidationError,
    ConnectionRefusedError,
    TimeoutError,
}


@pytest.mark.parametrize("foreign", sorted(FOREIGN, key=lambda item: item.__qualname__))
def test_every_foreign_class_is_translated(foreign):
    if foreign.__name__ == "MessageDefect":
        pytest.skip("a defect of an e-mail message: urllib3 imports its base only")
    assert issubclass(foreign, foreign_errors())


def test_the_servers_status_and_reason_are_kept_and_the_body_is_not_shown():
    body = '{"kind": "Status", "reason": "Conflict", "message": "try again", "secret": "s3cr3t"}'
    foreign = kubernetes.client.exceptions.ApiException(status=409, reason="Conflict")
    foreign.body = body
    with pytest.raises(KubernetesError) as caught, translated("patch Service emojivoto/web-svc"):
        raise foreign
    assert (caught.value.status, caught.value.reason) == (409, "Conflict")
    assert str(caught.value) == "patch Service emojivoto/web-svc was refused. Seen: try again."
    assert caught.value.__cause__ is foreign


def test_a_body_that_is_no_status_is_not_shown():
    foreign = kubernetes.client.exceptions.ApiException(status=500, reason="Internal")
    foreign.body = "token=s3cr3t"
    with pytest.raises(KubernetesError) as caught, translated("get"):
        raise foreign
    assert "s3cr3t" not in str(caught.value)


def test_trouble_of_the_network_names_the_server():
    with (
        pytest.raises(KubernetesError, match=r"no answer from https://west") as caught,
        translated("list Pod", server="https://west"),
    ):
        raise urllib3.exceptions.ReadTimeoutError(None, "/", "Read timed out.")
    assert caught.value.status is None
    assert "timed out" in caught.value.seen


def test_mistakes_of_the_program_pass():
    with pytest.raises(TypeError), translated("get"):
        raise TypeError("a bug")
