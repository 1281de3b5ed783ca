"""The DigitalOcean token: from the environment, else from the system's keyring, and nowhere else.

A keyring that is absent, locked or broken counts as one without the token; what was tried is told.
The token itself is in no message.
"""

import os
from dataclasses import dataclass, field

TOKEN_VARIABLES = ("DIGITALOCEAN_TOKEN", "DIGITALOCEAN_ACCESS_TOKEN")
KEYRING_SERVICE, KEYRING_USER = "labkit", "digitalocean"


@dataclass(frozen=True)
class Token:
    """A token, or the reasons why there is none.

    Attributes:
        value: the token, empty when there is none.
        source: where it is from.
        tried: each place that had none, in words.
    """

    value: str = field(repr=False)
    source: str
    tried: tuple[str, ...] = ()


def find_token() -> Token:
    """The first token there is."""
    for name in TOKEN_VARIABLES:
        if value := os.environ.get(name, "").strip():
            return Token(value, f"environment {name}")
    tried = [f"neither {' nor '.join(TOKEN_VARIABLES)} is set in the environment"]
    value, problem = _from_keyring()
    if value:
        return Token(value, f"keyring ({KEYRING_SERVICE}, {KEYRING_USER})")
    return Token("", "", (*tried, problem))


def _from_keyring() -> tuple[str, str]:
    place = f"the keyring has no `{KEYRING_USER}` of service `{KEYRING_SERVICE}`"
    try:
        import keyring
        from keyring.errors import KeyringLocked, NoKeyringError
    except ImportError:
        return "", "there is no keyring on this machine"
    try:
        return (keyring.get_password(KEYRING_SERVICE, KEYRING_USER) or "").strip(), place
    except NoKeyringError:
        return "", "there is no keyring on this machine"
    except KeyringLocked:
        return "", "the keyring is locked; unlock it and try again"
    except Exception as error:  # noqa: BLE001 - backends raise whatever their system raises
        return "", f"the keyring does not answer ({type(error).__name__})"
