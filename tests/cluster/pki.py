"""Who may call whom: the cluster's certificates and the kubeconfigs made of them."""

from __future__ import annotations

import datetime as dt
import ipaddress
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.cluster.place import ADDRESS, APART, NODE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.cluster.place import Place

__all__ = ["issue_all"]

_APISERVER = f"https://{ADDRESS}:6443"
_LIFE = dt.timedelta(days=3650)
# File name: (common name, organization, names and addresses it serves under).
_CERTIFICATES: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "apiserver": (
        "kube-apiserver",
        "",
        (
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            "kubernetes.default.svc.cluster.local",
            "10.96.0.1",
            ADDRESS,
            "127.0.0.1",
        ),
    ),
    "apiserver-to-kubelet": ("kube-apiserver-kubelet-client", "system:masters", ()),
    "front-proxy": ("front-proxy-client", "", ()),
    "kubelet": (f"system:node:{NODE}", "system:nodes", (NODE, ADDRESS)),
    "controller-manager": ("system:kube-controller-manager", "", ()),
    "scheduler": ("system:kube-scheduler", "", ()),
    "proxy": ("system:kube-proxy", "", ()),
    "admin": ("slipway-admin", "system:masters", ()),
    "nats": ("nats", "", (APART,)),
}
_USERS = ("kubelet", "controller-manager", "scheduler", "proxy", "admin")


def issue_all(place: Place) -> None:
    """Write pki/*.crt, pki/*.key and kubeconfig/*.json; what is there stays."""
    folder = place.path("pki", "ca.crt").parent
    if not (folder / "service-accounts.key").is_file():
        _write_key(place, "service-accounts", ec.generate_private_key(ec.SECP256R1()))
    if not (folder / "ca.crt").is_file():
        key = ec.generate_private_key(ec.SECP256R1())
        _write_key(place, "ca", key)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "slipway-cluster")])
        _sign(place, "ca", name, key.public_key(), name, key, [x509.BasicConstraints(ca=True, path_length=0)])
    for file, (common, organization, names) in _CERTIFICATES.items():
        if not (folder / f"{file}.crt").is_file():
            _issue(place, file, common, organization, names)
    for user in _USERS:
        place.write(f"kubeconfig/{user}.json", _kubeconfig(folder, user), mode=0o600)


def _issue(place: Place, file: str, common: str, organization: str, names: Sequence[str]) -> None:
    authority = x509.load_pem_x509_certificate(place.path("pki", "ca.crt").read_bytes())
    signer = serialization.load_pem_private_key(place.path("pki", "ca.key").read_bytes(), password=None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    words = [x509.NameAttribute(NameOID.COMMON_NAME, common)]
    if organization:
        words.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
    extensions: list[x509.ExtensionType] = [
        x509.BasicConstraints(ca=False, path_length=None),
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]),
    ]
    if names:
        extensions.append(x509.SubjectAlternativeName([_general(name) for name in names]))
    _write_key(place, file, key)
    _sign(place, file, x509.Name(words), key.public_key(), authority.subject, signer, extensions)


def _sign(
    place: Place,
    file: str,
    subject: x509.Name,
    public: ec.EllipticCurvePublicKey,
    issuer: x509.Name,
    signer: ec.EllipticCurvePrivateKey,
    extensions: Sequence[x509.ExtensionType],
) -> None:
    now = dt.datetime.now(dt.UTC)
    draft = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + _LIFE)
    )
    for extension in extensions:
        draft = draft.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
    certificate = draft.sign(signer, hashes.SHA256())
    place.write(f"pki/{file}.crt", certificate.public_bytes(serialization.Encoding.PEM).decode())


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _write_key(place: Place, file: str, key: ec.EllipticCurvePrivateKey) -> None:
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    place.write(f"pki/{file}.key", pem.decode(), mode=0o600)


def _kubeconfig(folder: Path, user: str) -> dict[str, object]:
    cluster = {"server": _APISERVER, "certificate-authority": str(folder / "ca.crt")}
    who = {"client-certificate": str(folder / f"{user}.crt"), "client-key": str(folder / f"{user}.key")}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "slipway", "cluster": cluster}],
        "users": [{"name": user, "user": who}],
        "contexts": [{"name": "slipway", "context": {"cluster": "slipway", "user": user}}],
        "current-context": "slipway",
    }
