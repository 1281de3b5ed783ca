"""Nodes: the node controller tells that it knows of one.

Whether a node is alive is not judged here: nodes of this cloud live and end with it.
"""

import asyncio

from labkit.embedded.controllers.events import EventWriter
from labkit.embedded.controllers.informers import SharedInformers
from labkit.embedded.kube import Object


async def run(informers: SharedInformers, events: EventWriter) -> None:
    """Follow nodes until cancelled."""
    recorder = events.recorder("node-controller")
    nodes = informers.of("v1", "nodes")
    await nodes.synced()
    known: set[str] = set()

    def changed(change: str, node: Object) -> None:
        uid, name = node["metadata"]["uid"], node["metadata"]["name"]
        if change == "DELETED":
            known.discard(uid)
        elif uid not in known:
            known.add(uid)
            text = f"Node {name} event: Registered Node {name} in Controller"
            recorder.normal(node, "RegisteredNode", text)

    nodes.subscribe(changed)
    await asyncio.Event().wait()
