"""The wide-area network between regions: a relay that holds bytes back.

Run as ``python -m labkit.embedded.network.relay --control SOCKET`` in a process of its own, so
that nothing else on the event loop delays a timer. Each route listens on one loopback port and
passes connections on to its targets. Every chunk of bytes leaves half the route's round trip
after it came, in order, connection by connection.

What is modelled:

* delay: half of ``rtt_ms`` each way;
* jitter, standard deviation ``jitter_ms`` of the round trip, from a seeded generator: a normal
  distribution around that, never less than no delay at all, or a one-sided heavy tail;
* loss: TCP hides it, so a lost segment shows as a retransmission timeout that all later bytes of
  the connection wait for: one extra max(200 ms, 2 round trips) with the probability that one of
  the chunk's segments was lost;
* TCP's own handshake: the kernel completes it on loopback at once, so the first bytes of the
  client are held one round trip more. A route whose targets all refuse closes after that time;
* black hole: nothing passes in either direction until it is lifted.

It deliberately does not limit bandwidth, and never looks into the bytes.
"""

import argparse
import asyncio
import gc
import logging
import signal

import uvloop

from labkit.embedded.network.promptness import be_prompt
from labkit.embedded.network.relay_control import control_site
from labkit.embedded.network.relay_routes import Route


async def serve(control: str) -> None:
    """Run the relay until SIGTERM or SIGINT."""
    routes: dict[str, Route] = {}
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    async with control_site(routes, control):
        gc.collect()
        gc.freeze()  # the collector need not walk over the modules again
        await stopping.wait()


def main() -> None:
    """Command line of the relay process."""
    parser = argparse.ArgumentParser(description="Relay that adds the delay of a wide-area link")
    parser.add_argument("--control", required=True, help="path of the unix socket to control it")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    be_prompt()  # a late wake-up is a longer way
    uvloop.run(serve(options.control))


if __name__ == "__main__":
    main()
