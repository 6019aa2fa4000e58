"""Is the node up: containerd, kubelet, service addresses, network policies, DNS?"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from tests.cluster import kernel
from tests.cluster.kube import Kube
from tests.cluster.place import ADDRESS, APART, NODE, PODS, RUN, SERVICES
from tests.cluster.programs import Program, start, wait_until
from tests.cluster.services import answers

if TYPE_CHECKING:
    from tests.cluster.place import Place

__all__ = ["SOCKET", "start_node", "wait_ready"]

SOCKET = RUN / "containerd.sock"

_CONTAINERD = """\
version = 2
root = "{folder}/containerd"
state = "{run}/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.aufs",
  "io.containerd.tracing.processor.v1.otlp"]

[grpc]
  address = "{run}/containerd.sock"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  # Lowering oom_score_adj needs CAP_SYS_RESOURCE, which a virtual machine's root may lack; runc then dies.
  restrict_oom_score_adj = true
  disable_tcp_service = true
  stream_server_address = "127.0.0.1"

  [plugins."io.containerd.grpc.v1.cri".containerd]
    discard_unpacked_layers = true
    default_runtime_name = "runc"

    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"

      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        Root = "{run}/runc"

  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{folder}/cni"

  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "{folder}/registry-hosts"
"""

# Two blocks, for CoreDNS asks `template` before `kubernetes`: every other name is unknown at once, not after a timeout.
_COREFILE = """\
cluster.local in-addr.arpa {{
    bind {address}
    errors
    kubernetes cluster.local in-addr.arpa {{
        kubeconfig {kubeconfig}
        ttl 5
    }}
    cache 5
}}
. {{
    bind {address}
    template ANY ANY {{
        rcode NXDOMAIN
    }}
}}
"""


def start_node(place: Place, pause: str) -> None:
    """Start what is not running; `pause` is the image that holds a pod's namespaces."""
    _write_network(place)
    settings = place.write("containerd.toml", _CONTAINERD.format(folder=place.folder, run=RUN, pause=pause))
    start(place, Program("containerd", ["/usr/bin/containerd", "--config", str(settings)], files=(settings,)))
    wait_until(place, "containerd answers", _containerd_answers, 30, log="containerd")
    kernel.remember(place)
    _start_kubelet(place)
    arguments = [
        str(place.program("kubernetes", "kube-proxy")),
        f"--kubeconfig={place.folder}/kubeconfig/proxy.json",
        f"--hostname-override={NODE}",
        f"--cluster-cidr={PODS}",
        "--proxy-mode=iptables",
        "--conntrack-max-per-core=0",  # the machine's own limit stays
        "--conntrack-min=0",
        "--healthz-bind-address=127.0.0.1:10256",
        "--metrics-bind-address=127.0.0.1:10249",
    ]
    start(place, Program("kube-proxy", arguments))
    corefile = place.write("Corefile", _COREFILE.format(address=APART, kubeconfig=place.kubeconfig))
    start(
        place, Program("coredns", [str(place.program("coredns", "coredns")), "-conf", str(corefile)], files=(corefile,))
    )


def _start_kubelet(place: Place) -> None:
    settings = place.write("kubelet.json", _kubelet(place))
    arguments = [
        str(place.program("kubernetes", "kubelet")),
        f"--config={settings}",
        f"--kubeconfig={place.folder}/kubeconfig/kubelet.json",
        f"--root-dir={place.folder}/kubelet",
        f"--cert-dir={place.folder}/kubelet/pki",
        f"--hostname-override={NODE}",
        f"--node-ip={ADDRESS}",
    ]
    start(place, Program("kubelet", arguments, files=(settings,)))


def wait_ready(place: Place) -> None:
    """Return when the kubelet answers and the API server reports the node Ready. Raises TryAgain."""

    def ready() -> bool:
        # It ends by itself where containerd was not ready for it yet; what the API server says may be from before.
        _start_kubelet(place)
        if not answers("http://127.0.0.1:10248/healthz"):
            return False
        node = Kube(place).get("node", NODE)
        conditions = node["status"].get("conditions", []) if node else []
        return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)

    wait_until(place, f"node {NODE} is Ready", ready, 60, log="kubelet")
    _start_kube_router(place)
    wait_until(place, "network policies are enforced", _enforces, 30, log="kube-router")


def _start_kube_router(place: Place) -> None:
    """The bridge lets every packet through; this refuses what NetworkPolicies do not allow. It ends without a node."""
    arguments = [
        str(place.program("kube-router", "kube-router")),
        f"--kubeconfig={place.kubeconfig}",
        f"--hostname-override={NODE}",
        f"--service-cluster-ip-range={SERVICES}",
        "--run-router=false",
        "--run-service-proxy=false",
        "--health-port=0",
        "--iptables-sync-period=30s",  # how long a change that failed stays undone
    ]
    start(place, Program("kube-router", arguments))


def _enforces() -> bool:
    rules = subprocess.run(["iptables", "-S", "KUBE-ROUTER-FORWARD"], capture_output=True, check=False, timeout=10)
    return rules.returncode == 0


def _containerd_answers() -> bool:
    command = ["ctr", "--address", str(SOCKET), "version"]
    return subprocess.run(command, capture_output=True, check=False, timeout=10).returncode == 0


def _write_network(place: Place) -> None:
    bridge = {
        "type": "bridge",
        "bridge": "pods0",
        "isGateway": True,
        "ipMasq": True,
        "hairpinMode": True,
        "ipam": {
            "type": "host-local",
            "ranges": [[{"subnet": PODS}]],
            "routes": [{"dst": "0.0.0.0/0"}],
            "dataDir": str(RUN / "cni-addresses"),
        },
    }
    plugins = [bridge, {"type": "portmap", "capabilities": {"portMappings": True}}]
    place.write("cni/10-pods.conflist", {"cniVersion": "1.0.0", "name": "pods", "plugins": plugins})


def _kubelet(place: Place) -> dict[str, object]:
    pki = place.folder / "pki"
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": ADDRESS,
        "containerRuntimeEndpoint": f"unix://{SOCKET}",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{pki}/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": f"{pki}/kubelet.crt",
        "tlsPrivateKeyFile": f"{pki}/kubelet.key",
        "clusterDNS": [APART],
        "clusterDomain": "cluster.local",
        "resolvConf": "/dev/null",
        "cgroupDriver": "cgroupfs",
        "failCgroupV1": False,
        "failSwapOn": False,
        "podLogsDir": str(place.folder / "logs/pods"),
        "volumePluginDir": str(place.folder / "kubelet/plugins-exec"),
        "healthzBindAddress": "127.0.0.1",
        # The disk is the machine's own, and other work on it must not evict pods or images.
        "evictionHard": {"nodefs.available": "1Gi", "imagefs.available": "1Gi", "memory.available": "200Mi"},
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "serializeImagePulls": False,
        "shutdownGracePeriod": "0s",
    }
