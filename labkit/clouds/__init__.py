"""The clouds a lab can stand on, behind one interface. Nothing else knows which one it is.

- `embedded`: starts the local cloud as a background process, then is DigitalOcean with another
  endpoint, authority and token.
- `digitalocean`: api.digitalocean.com with the token from the environment.
- `existing`: two contexts of the user's kubeconfig; nothing is created or deleted there.
"""

from labkit.clouds.accounts import FoundLab, audit_account, labs_of, reap, unfinished
from labkit.clouds.audit import Audit
from labkit.clouds.consent import affordable, require_consent
from labkit.clouds.costs import Quote
from labkit.clouds.digitalocean import DigitalOceanCloud, connect
from labkit.clouds.embedded import EmbeddedCloud
from labkit.clouds.existing import ExistingCloud
from labkit.clouds.interface import Cloud, ClusterFacts
from labkit.clouds.meter import Costs, Meter
from labkit.clouds.record import has_record, restore_record
from labkit.clouds.token import TOKEN_VARIABLES, find_token
from labkit.clouds.tools import install_kubectl, merge_kubeconfigs, save_kubeconfig
from labkit.clouds.wan import WanChange, WanControl, WanState, WanValues
from labkit.folder import LabFolder
from labkit.params import Params

__all__ = [
    "TOKEN_VARIABLES",
    "Audit",
    "Cloud",
    "ClusterFacts",
    "Costs",
    "ExistingCloud",
    "FoundLab",
    "Meter",
    "Quote",
    "WanChange",
    "WanControl",
    "WanState",
    "WanValues",
    "affordable",
    "audit_account",
    "connect",
    "find_token",
    "has_record",
    "install_kubectl",
    "labs_of",
    "merge_kubeconfigs",
    "open_cloud",
    "reap",
    "require_consent",
    "restore_record",
    "save_kubeconfig",
    "unfinished",
]


def open_cloud(params: Params, folder: LabFolder) -> Cloud:
    """The cloud that the parameters name; nothing is started or contacted yet."""
    if params.cloud == "embedded":
        return EmbeddedCloud(params, folder)
    if params.cloud == "digitalocean":
        return DigitalOceanCloud(params, folder)
    return ExistingCloud(params, folder)
