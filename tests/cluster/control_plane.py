"""Is the Kubernetes control plane up: etcd, API server, controllers, scheduler?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.cluster.kube import Kube
from tests.cluster.place import ADDRESS, SERVICES
from tests.cluster.programs import Program, start, wait_until

if TYPE_CHECKING:
    from tests.cluster.place import Place

__all__ = ["up"]

_ETCD = "http://127.0.0.1:2379"


def up(place: Place) -> None:
    """Start what is not running and wait until the API server is ready. Raises TryAgain."""
    start(place, _etcd(place))
    start(place, _apiserver(place))
    wait_until(place, "the API server is ready", Kube(place).ready, 60, log="kube-apiserver")
    start(place, _controllers(place))
    start(place, _scheduler(place))


def _etcd(place: Place) -> Program:
    arguments = [
        str(place.program("etcd", "etcd")),
        "--name=slipway",
        f"--data-dir={place.path('etcd')}",
        f"--listen-client-urls={_ETCD}",
        f"--advertise-client-urls={_ETCD}",
        "--listen-peer-urls=http://127.0.0.1:2380",
        "--initial-advertise-peer-urls=http://127.0.0.1:2380",
        "--initial-cluster=slipway=http://127.0.0.1:2380",
        "--log-level=warn",
        # A disk that still writes images syncs later than Kubernetes waits for an answer. A kill loses nothing.
        "--unsafe-no-fsync",
    ]
    return Program("etcd", arguments)


def _apiserver(place: Place) -> Program:
    pki = place.folder / "pki"
    arguments = [
        str(place.program("kubernetes", "kube-apiserver")),
        f"--etcd-servers={_ETCD}",
        f"--advertise-address={ADDRESS}",
        "--secure-port=6443",
        f"--service-cluster-ip-range={SERVICES}",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={pki}/service-accounts.key",
        f"--service-account-signing-key-file={pki}/service-accounts.key",
        f"--client-ca-file={pki}/ca.crt",
        f"--tls-cert-file={pki}/apiserver.crt",
        f"--tls-private-key-file={pki}/apiserver.key",
        f"--kubelet-certificate-authority={pki}/ca.crt",
        f"--kubelet-client-certificate={pki}/apiserver-to-kubelet.crt",
        f"--kubelet-client-key={pki}/apiserver-to-kubelet.key",
        # Without DNS, a look-up of the node's name would cost 20 s before each log line.
        "--kubelet-preferred-address-types=InternalIP",
        f"--requestheader-client-ca-file={pki}/ca.crt",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={pki}/front-proxy.crt",
        f"--proxy-client-key-file={pki}/front-proxy.key",
        "--enable-aggregator-routing=true",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
    ]
    return Program("kube-apiserver", arguments)


def _controllers(place: Place) -> Program:
    pki = place.folder / "pki"
    arguments = [
        str(place.program("kubernetes", "kube-controller-manager")),
        f"--kubeconfig={place.folder}/kubeconfig/controller-manager.json",
        "--use-service-account-credentials=true",
        f"--service-account-private-key-file={pki}/service-accounts.key",
        f"--root-ca-file={pki}/ca.crt",
        f"--cluster-signing-cert-file={pki}/ca.crt",
        f"--cluster-signing-key-file={pki}/ca.key",
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
        f"--requestheader-client-ca-file={pki}/ca.crt",
    ]
    return Program("kube-controller-manager", arguments)


def _scheduler(place: Place) -> Program:
    arguments = [
        str(place.program("kubernetes", "kube-scheduler")),
        f"--kubeconfig={place.folder}/kubeconfig/scheduler.json",
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
    ]
    return Program("kube-scheduler", arguments)
