"""How does a machine with nothing become one with a cluster, and what is still missing?"""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING, Any

from tests.cluster import (
    argo,
    buckets,
    control_plane,
    debian,
    forge,
    images,
    install,
    keda,
    network,
    node,
    offers,
    own_images,
    pki,
    registry,
    services,
    summary,
    team,
)
from tests.cluster.build import build_all, missing
from tests.cluster.ownership import claim
from tests.cluster.place import Place
from tests.cluster.room import need_room

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["up"]


def up(folder: Path, say: Callable[[str], None], *, bare: bool = False, autoscaling: bool = True) -> dict[str, Any]:
    """Bring up what is not up, and say where everything is; safe at any time, also after any part was killed.

    bare: without slipway, as its operator finds a cluster, a forge with accounts and a bucket.
    autoscaling: with KEDA.
    Raises Misconfigured where this machine cannot hold a cluster, TryAgain where a part does not come up.
    """
    debian.check_machine()
    claim(folder)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        without = () if autoscaling else ("keda",)
        need_room(folder, len(missing(without)), own_images.missing())
        place = Place(folder, build_all(say, without=without))
        debian.install(say)
        images.build(place, say)
        own_images.build(place, say)
        network.create()
        # From here on nothing outside the machine can be reached, a proxy neither.
        network.enter()
        for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
            del os.environ[name]
        pki.issue_all(place)
        registry.start_registry(place, images.all_tags(place) | own_images.all_tags())
        images.publish_all(place, say)
        own_images.publish(place, say)
        install.render(place)  # for Prometheus too, which has no operator that would read the monitors
        say("start the control plane, S3, the event bus and Prometheus")
        control_plane.up(place)
        services.up(place)
        say("start the node")
        node.start_node(place, images.reference(place, "pause"))
        node.wait_ready(place)
        offers.offer(place)
        say(f"the node is Ready; install Argo Workflows, Events and CD{', and KEDA' if autoscaling else ''}")
        argo.apply(place)
        if autoscaling:
            keda.apply(place)
        say("start the forge")
        forge.up(place)
        say("wait for the controllers")
        control_plane.up(place)  # kube-controller-manager ends by itself where etcd was slow to answer it
        argo.wait_available(place)
        if autoscaling:
            keda.wait_available(place)
        team.up(place)
        buckets.share(place)
        if not bare:
            say("install slipway")
            install.up(place)
            install.wait(place)
        return summary.write(place)
