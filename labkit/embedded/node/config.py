"""What a node agent is told by whoever composes the cluster."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from labkit.certs import Credential
from labkit.embedded.images import catalog
from labkit.embedded.processes import ProcessTable

FindProgram = Callable[[str, Sequence[str]], tuple[catalog.Program, tuple[str, ...]]]

KUBELET_VERSION = "v1.36.2"


@dataclass(frozen=True)
class NodeConfig:
    """Settings of one node."""

    data_dir: Path
    """Private folder of this node: logs, volumes and working folders of its pods."""
    run_dir: Path
    """Folder of the cluster's unix sockets, short and 0700."""
    processes: ProcessTable
    """The lab's table of child processes, shared by all nodes. Whoever owns it reaps what a
    killed daemon left, before any node starts."""
    server: str
    """URL of the cluster's API server, for pods."""
    ca_file: Path
    """The cluster's CA certificate."""
    ca: Credential = field(repr=False)
    """The cluster's CA, which signs the certificate of the kubelet API."""
    kubelet_token: str = field(repr=False)
    """Bearer token that the API server shows to the kubelet API."""
    node_token: str = field(repr=False)
    """Token of the node's own components (the node proxy) at the API server."""
    pod_cidr: str
    """Virtual network of this node's pods, as 10.244.0.0/24."""
    internal_ip: str
    """The node's virtual address, as 10.124.0.2."""
    external_ip: str = ""
    """The node's virtual public address."""
    region: str = "nyc1"
    size: str = "s-2vcpu-4gb"
    """Slug of the droplet size: what the node pretends to have."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Labels beyond the usual ones: node pool, cluster."""
    droplet_id: int = 0
    """For ``providerID: digitalocean://…``."""
    find_program: FindProgram = catalog.find_program
    """The image catalog."""
    exposed_ports: Callable[[str], Sequence[int]] = catalog.exposed_ports
    """Ports on which an image's programs listen although no pod declares them."""
    has_shell: Callable[[str], bool] = catalog.has_shell
    """Whether the real image holds a shell and the usual tools, for exec."""
    kubelet_port: int = 0
    """Port of the kubelet API on 127.0.0.1; 0 chooses one."""
    volume_refresh_s: float = 60.0
    """How often mounted secrets, config maps and tokens are read again, as the kubelet does."""
    backoff_s: tuple[float, float] = (10.0, 300.0)
    """First and longest wait before a crashed container is started again."""
    backoff_reset_s: float = 600.0
    """A container that ran this long starts with the first wait again."""
