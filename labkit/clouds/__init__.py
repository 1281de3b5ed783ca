"""The clouds a lab can stand on, behind one interface. Nothing else knows which one it is.

- `embedded`: starts the local cloud as a background process, then is DigitalOcean with another
  endpoint, authority and token.
- `digitalocean`: api.digitalocean.com with the token from the environment.
- `existing`: two contexts of the user's kubeconfig; nothing is created or deleted there.
"""

from labkit.clouds.consent import affordable, require_consent
from labkit.clouds.costs import Quote
from labkit.clouds.digitalocean import DigitalOceanCloud
from labkit.clouds.embedded import EmbeddedCloud
from labkit.clouds.existing import ExistingCloud
from labkit.clouds.interface import Cloud, ClusterFacts
from labkit.clouds.meter import Costs, Meter
from labkit.clouds.token import TOKEN_VARIABLES, find_token
from labkit.clouds.tools import install_kubectl, merge_kubeconfigs, save_kubeconfig
from labkit.clouds.wan import WanChange, WanControl, WanState, WanValues
from labkit.folder import LabFolder
from labkit.params import Params

__all__ = [
    "TOKEN_VARIABLES",
    "Cloud",
    "ClusterFacts",
    "Costs",
    "ExistingCloud",
    "Meter",
    "Quote",
    "WanChange",
    "WanControl",
    "WanState",
    "WanValues",
    "affordable",
    "find_token",
    "install_kubectl",
    "merge_kubeconfigs",
    "open_cloud",
    "require_consent",
    "save_kubeconfig",
]


def open_cloud(params: Params, folder: LabFolder) -> Cloud:
    """The cloud that the parameters name; nothing is started or contacted yet."""
    if params.cloud == "embedded":
        return EmbeddedCloud(params, folder)
    if params.cloud == "digitalocean":
        return DigitalOceanCloud(params, folder)
    return ExistingCloud(params, folder)
