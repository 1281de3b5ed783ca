"""What an APIService is refused for."""

import pytest

from labkit.embedded.apiserver.rules.causes import Problems
from labkit.embedded.apiserver.rules.registrationrules import api_service

SERVICE = {"namespace": "a", "name": "b"}
GOOD = {
    "group": "things.example.com",
    "version": "v1",
    "groupPriorityMinimum": 100,
    "versionPriority": 10,
    "service": SERVICE,
    "caBundle": "eA==",
}
LABEL_1035 = "a DNS-1035 label must consist of lower case alphanumeric characters"


def causes(name, spec):
    problems = Problems()
    api_service({"metadata": {"name": name}, "spec": spec}, None, problems)
    return [(cause.field, cause.message) for cause in problems]


def test_a_good_one_is_accepted():
    assert causes("v1.things.example.com", GOOD) == []
    assert causes("v1.", {**GOOD, "group": ""}) == []
    local = {key: value for key, value in GOOD.items() if key not in ("service", "caBundle")}
    assert causes("v1.things.example.com", local) == []


def test_its_name_is_made_of_version_and_group():
    assert causes("things", GOOD) == [
        (
            "metadata.name",
            (
                'Invalid value: "things": must be `spec.version+"."+spec.group`:'
                ' "v1.things.example.com"'
            ),
        )
    ]


@pytest.mark.parametrize(
    ("change", "field", "text"),
    [
        ({"group": "Things"}, "spec.group", "a lowercase RFC 1123 subdomain must consist"),
        ({"version": "1"}, "spec.version", LABEL_1035),
        ({"group": "", "version": "v2"}, "spec.group", "only v1 may have an empty group"),
        (
            {"groupPriorityMinimum": 0},
            "spec.groupPriorityMinimum",
            "Invalid value: 0: must be positive and less than 20000",
        ),
        (
            {"versionPriority": 1001},
            "spec.versionPriority",
            "Invalid value: 1001: must be positive and less than 1000",
        ),
        ({"service": {"name": "b"}}, "spec.service.namespace", "Required value"),
        ({"service": {**SERVICE, "name": ""}}, "spec.service.name", "Required value"),
        ({"service": {**SERVICE, "port": 70000}}, "spec.service.port", "between 1 and 65535"),
        (
            {"insecureSkipTLSVerify": True},
            "spec.insecureSkipTLSVerify",
            "may not be true if caBundle is present",
        ),
        (
            {"service": None},
            "spec.caBundle",
            'Invalid value: "1 bytes": local APIServices may not have a caBundle',
        ),
        (
            {"service": None, "caBundle": "", "insecureSkipTLSVerify": True},
            "spec.insecureSkipTLSVerify",
            "local APIServices may not have insecureSkipTLSVerify",
        ),
    ],
)
def test_it_is_refused_for(change, field, text):
    spec = {**GOOD, **change}
    ((found, message),) = causes(f"{spec['version']}.{spec['group']}", spec)
    assert found == field
    assert text in message
