"""Which programs the test cluster is built of, and how each is built."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PRODUCTS", "Product"]


@dataclass(frozen=True, slots=True)
class Product:
    """One Go module and the programs that are built from it; the version is the one its wrapper's go.mod requires.

    `programs` maps a binary's name to its package; `versions` are variables that get the version at link time, with a
    pattern that takes {version} (with its v), {number} (without), {major} and {minor}.
    `share` are files or folders of the module's own source that are kept beside the binaries.
    `vendored` maps a file that the module's zip lacks to the vendored file it is a copy of, or to its content.
    """

    name: str
    module: str
    programs: Mapping[str, str]
    versions: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    share: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    cgo: bool = False
    vendored: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


_WORKFLOWS = "github.com/argoproj/argo-workflows/v4"
_EVENTS = "github.com/argoproj/argo-events"
_CD = "github.com/argoproj/argo-cd/v3"
_KEDA = "github.com/kedacore/keda/v2"
_COMPONENT = "k8s.io/component-base/version"
_SIGNALS = "workflow/executor/osspecific"

# A quick one first, so that a mistake in the machine shows at once.
PRODUCTS: tuple[Product, ...] = (
    Product("pause", "slipway.test/cluster/pause", {"pause": "."}),
    Product("etcd", "go.etcd.io/etcd/server/v3", {"etcd": "go.etcd.io/etcd/server/v3"}),
    Product(
        "kubernetes",
        "k8s.io/kubernetes",
        {
            name: f"k8s.io/kubernetes/cmd/{name}"
            for name in (
                "kube-apiserver",
                "kube-controller-manager",
                "kube-scheduler",
                "kube-proxy",
                "kubectl",
                "kubelet",
            )
        },
        versions={
            f"{_COMPONENT}.gitVersion": "{version}",
            f"{_COMPONENT}.gitMajor": "{major}",
            f"{_COMPONENT}.gitMinor": "{minor}",
        },
    ),
    # After Kubernetes, whose libraries it shares in the same versions: most of it is compiled already.
    Product(
        "kube-router",
        "github.com/cloudnativelabs/kube-router/v2",
        {"kube-router": "github.com/cloudnativelabs/kube-router/v2/cmd/kube-router"},
    ),
    Product("registry", "github.com/distribution/distribution/v3", {"registry": "."}),
    Product("coredns", "github.com/coredns/coredns", {"coredns": "."}),
    Product("kustomize", "sigs.k8s.io/kustomize/kustomize/v5", {"kustomize": "sigs.k8s.io/kustomize/kustomize/v5"}),
    Product("versitygw", "github.com/versity/versitygw", {"versitygw": "github.com/versity/versitygw/cmd/versitygw"}),
    Product("nats", "github.com/nats-io/nats-server/v2", {"nats-server": "github.com/nats-io/nats-server/v2"}),
    # Only its CRDs: ServiceMonitor, PrometheusRule.
    Product(
        "prometheus-operator",
        "github.com/prometheus-operator/prometheus-operator",
        {},
        share=("example/prometheus-operator-crd",),
    ),
    # Debian's Prometheus is built without Kubernetes discovery; this one without the others.
    Product(
        "prometheus",
        "github.com/prometheus/prometheus",
        {"prometheus": "github.com/prometheus/prometheus/cmd/prometheus"},
        tags=("remove_all_sd", "enable_kubernetes_sd"),
    ),
    Product(
        "argo-workflows",
        _WORKFLOWS,
        {name: f"{_WORKFLOWS}/cmd/{name}" for name in ("argo", "argoexec", "workflow-controller")},
        versions={f"{_WORKFLOWS}.version": "{version}"},
        share=("manifests", "api/jsonschema"),
        vendored={
            # A symlink upstream, and module zips drop symlinks.
            f"{_SIGNALS}/signal_linux.go": f"{_SIGNALS}/signal_darwin.go",
            # The web UI is embedded, and cannot be built from the registries; the API is complete without it.
            "ui/dist/app/index.html": "<!doctype html><title>Argo Workflows: the API only</title>\n",
        },
    ),
    Product(
        "argo-events",
        _EVENTS,
        {"argo-events": f"{_EVENTS}/cmd"},
        versions={f"{_EVENTS}.version": "{version}"},
        share=("manifests",),
    ),
    Product(
        "argo-cd",
        _CD,
        {"argocd": f"{_CD}/cmd"},
        versions={f"{_CD}/common.version": "{version}"},
        share=("manifests", "hack/git-verify-wrapper.sh", "hack/gpg-wrapper.sh"),
    ),
    Product(
        "gitea",
        "code.gitea.io/gitea",
        {"gitea": "code.gitea.io/gitea"},
        versions={"main.Version": "{number}"},
        share=("templates", "options", "public"),
        tags=("sqlite", "sqlite_unlock_notify"),
        cgo=True,
    ),
    Product(
        "keda",
        _KEDA,
        {"keda": f"{_KEDA}/cmd/operator", "keda-adapter": f"{_KEDA}/cmd/adapter"},
        versions={f"{_KEDA}/version.Version": "{number}"},
        share=("config",),
    ),
)
