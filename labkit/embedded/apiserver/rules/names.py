"""What Kubernetes accepts as names, label keys and values, ports and addresses, in its words.

Each function returns the list of what is wrong, empty when nothing is.
"""

import ipaddress
import re

LABEL_FORMAT = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
LABEL_1035_FORMAT = "[a-z]([-a-z0-9]*[a-z0-9])?"
SUBDOMAIN_FORMAT = rf"{LABEL_FORMAT}(\.{LABEL_FORMAT})*"
QUALIFIED_FORMAT = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
CONFIG_KEY_FORMAT = "[-._a-zA-Z0-9]+"
_is_label = re.compile(LABEL_FORMAT).fullmatch
_is_1035_label = re.compile(LABEL_1035_FORMAT).fullmatch
_is_subdomain = re.compile(SUBDOMAIN_FORMAT).fullmatch
_is_qualified = re.compile(QUALIFIED_FORMAT).fullmatch
VALID_IP = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
PORT_RANGE = "must be between 1 and 65535, inclusive"
_QUALIFIED = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
    "alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for "
    f"validation is '{QUALIFIED_FORMAT}')"
)


def dns_label(value: str) -> list[str]:
    """A lowercase RFC 1123 label: names of namespaces, services, containers."""
    problems = []
    if len(value) > 63:
        problems.append("must be no more than 63 characters")
    if not _is_label(value):
        if _is_subdomain(value):
            problems.append("must not contain dots")
        else:
            problems.append(
                "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or "
                "'-', and must start and end with an alphanumeric character (e.g. 'my-name',  or "
                f"'123-abc', regex used for validation is '{LABEL_FORMAT}')"
            )
    return problems


def dns_1035_label(value: str) -> list[str]:
    """A label that begins with a letter: names of versions and of custom resources."""
    problems = []
    if len(value) > 63:
        problems.append("must be no more than 63 characters")
    if not _is_1035_label(value):
        problems.append(
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start "
            "with an alphabetic character, and end with an alphanumeric character (e.g. "
            f"'my-name',  or 'abc-123', regex used for validation is '{LABEL_1035_FORMAT}')"
        )
    return problems


def dns_subdomain(value: str) -> list[str]:
    """A lowercase RFC 1123 subdomain: names of most objects."""
    problems = []
    if len(value) > 253:
        problems.append("must be no more than 253 characters")
    if not _is_subdomain(value):
        problems.append(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, "
            "'-' or '.', and must start and end with an alphanumeric character (e.g. "
            f"'example.com', regex used for validation is '{SUBDOMAIN_FORMAT}')"
        )
    return problems


def wildcard(value: str) -> list[str]:
    """A subdomain whose first label is a star."""
    if value.startswith("*.") and _is_subdomain(value[2:]):
        return []
    return [
        (
            "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS "
            "subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and "
            "end with an alphanumeric character (e.g. '*.example.com', regex used for validation "
            rf"is '\\*\\.{SUBDOMAIN_FORMAT}')"
        )
    ]


def path_segment(value: str) -> list[str]:
    """A name that only has to fit into a URL: roles and bindings."""
    if value in (".", ".."):
        return [f"may not be '{value}'"]
    return [f"may not contain '{sign}'" for sign in "/%" if sign in value]


def qualified_name(value: str) -> list[str]:
    """A label key: a name with an optional DNS prefix."""
    parts = value.split("/")
    if len(parts) > 2:
        return [
            (
                f"a valid label key {_QUALIFIED} with an optional DNS subdomain prefix and '/' "
                "(e.g. 'example.com/MyName')"
            )
        ]
    problems = []
    if len(parts) == 2:
        if not parts[0]:
            problems.append("prefix part must be non-empty")
        else:
            problems.extend(f"prefix part {problem}" for problem in dns_subdomain(parts[0]))
    name = parts[-1]
    if not name:
        problems.append("name part must be non-empty")
    elif len(name) > 63:
        problems.append("name part must be no more than 63 bytes")
    if not _is_qualified(name):
        problems.append(f"name part {_QUALIFIED}")
    return problems


def label_value(value: str) -> list[str]:
    """The value of a label."""
    problems = []
    if len(value.encode()) > 63:
        problems.append("must be no more than 63 bytes")
    if value and not _is_qualified(value):
        problems.append(
            "a valid label must be an empty string or consist of alphanumeric characters, '-', "
            "'_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  "
            "or 'my_value',  or '12345', regex used for validation is "
            f"'({QUALIFIED_FORMAT})?')"
        )
    return problems


def config_key(value: str) -> list[str]:
    """A key of a ConfigMap or Secret."""
    if len(value) > 253:
        return ["must be no more than 253 characters"]
    if not re.fullmatch(CONFIG_KEY_FORMAT, value):
        return [
            (
                "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. "
                "'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is "
                f"'{CONFIG_KEY_FORMAT}')"
            )
        ]
    if value == ".":
        return ["must not be '.'"]
    return ["must not be '..'"] if value == ".." else []


def port_name(value: str) -> list[str]:
    """The name of a port (IANA service name)."""
    problems = []
    if len(value) > 15:
        problems.append("must be no more than 15 characters")
    if not re.fullmatch(r"[-a-z0-9]+", value):
        problems.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not re.search(r"[a-z]", value):
        problems.append("must contain at least one letter (a-z)")
    if "--" in value:
        problems.append("must not contain consecutive hyphens")
    if value[:1] == "-" or value[-1:] == "-":
        problems.append("must not begin or end with a hyphen")
    return problems


def env_name(value: str) -> list[str]:
    """The name of an environment variable."""
    if all(" " <= sign <= "~" and sign != "=" for sign in value):
        return []
    return [
        (
            "a valid environment variable name must consist only of printable ASCII characters "
            "other than '='"
        )
    ]


def header_name(value: str) -> list[str]:
    """The name of an HTTP header."""
    if re.fullmatch("[-A-Za-z0-9]+", value):
        return []
    return [
        (
            "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. "
            "'X-Header-Name', regex used for validation is '[-A-Za-z0-9]+')"
        )
    ]


def ip_address(value: object) -> list[str]:
    """An IPv4 or IPv6 address."""
    try:
        ipaddress.ip_address(str(value))
    except ValueError:
        return [VALID_IP]
    return []


def ordinary_ip(value: object) -> list[str]:
    """An address that can be an endpoint: not loopback, link-local, unspecified or multicast."""
    try:
        address = ipaddress.ip_address(str(value))
    except ValueError:
        return ["must be a valid IP address"]
    if address.is_unspecified:
        return [f"may not be unspecified ({value})"]
    if address.is_loopback:
        return ["may not be in the loopback range (127.0.0.0/8, ::1/128)"]
    if address.is_link_local:
        return ["may not be in the link-local range (169.254.0.0/16, fe80::/10)"]
    if address in ipaddress.ip_network("224.0.0.0/24"):
        return ["may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"]
    return []
