"""The walk: each step of each chapter as a method, in the order in which a learner takes them.

What a step does is in `labkit.chapters`. Every method may be called again: it looks, does what is
missing, and returns a value that shows itself. What is needed around the walk is `labkit.lab`'s.
"""

from typing import TYPE_CHECKING

from labkit import exercises
from labkit.chapters import (
    clusters,
    dashboards,
    emojivoto,
    failover,
    failover_samples,
    latency,
    linkerd,
    mirror,
    mtls,
    multicluster_link,
    start_here,
    traffic,
    trust_anchor,
)
from labkit.context import LabContext
from labkit.display import Step
from labkit.learner import step_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Walk(LabContext):
    """The chapters of a lab."""

    def topology(self, stage: str) -> "Figure":
        """Draw the lab at a stage: clusters, mesh, link, emojivoto, mirror or traffic."""
        from labkit.topology import draw_topology

        return draw_topology(
            self.params.west_region,
            self.params.east_region,
            stage=stage,
            rtt_ms=self.params.wan_rtt_ms,
        )

    @step_of("00")
    def doctor(self) -> Step:
        """00: tools, versions, regions."""
        return start_here.doctor(self)

    @step_of("00")
    def quote(self) -> Step:
        """00: what the lab costs."""
        return start_here.quote(self)

    @step_of("01")
    def create_clusters(self) -> Step:
        """01: west and east, with a kubeconfig of their own."""
        return clusters.create(self)

    @step_of("02")
    def create_trust_anchor(self) -> Step:
        """02: root and issuer."""
        return trust_anchor.create(self)

    @step_of("03")
    def install_linkerd(self) -> Step:
        """03: the control plane in both clusters, with the shared trust anchor."""
        return linkerd.install(self)

    @step_of("03")
    def install_viz(self) -> Step:
        """03: viz in both clusters."""
        return linkerd.install_viz(self)

    @step_of("04")
    def install_multicluster(self) -> Step:
        """04: gateways and controllers."""
        return multicluster_link.install(self)

    @step_of("04")
    def link_clusters(self) -> Step:
        """04: the Link from west to east."""
        return multicluster_link.link(self)

    @step_of("05")
    def deploy_emojivoto(self) -> Step:
        """05: emojivoto, injected, in both clusters."""
        return emojivoto.deploy(self)

    @step_of("05")
    def split_emojivoto(self) -> Step:
        """05: west keeps vote-bot, east keeps the rest."""
        return emojivoto.split(self)

    @step_of("06")
    def export_web(self) -> Step:
        """06: web-svc of east appears in west."""
        return mirror.export(self)

    @step_of("07")
    def redirect_traffic(self) -> Step:
        """07: vote-bot votes in the other region."""
        return traffic.redirect(self)

    @step_of("08")
    def tap(self) -> Step:
        """08: requests of vote-bot as its proxy sees them."""
        return mtls.tap(self)

    @step_of("08")
    def try_intruders(self) -> Step:
        """08: two clients that the gateway must refuse."""
        return mtls.try_intruders(self)

    @step_of("09")
    def golden_metrics(self) -> Step:
        """09: success, requests per second and latency of both sides."""
        return dashboards.golden_metrics(self)

    @step_of("09")
    def metrics_chart(self) -> "Figure":
        """09: success rate and requests per second of both sides, as a chart."""
        return dashboards.chart(self)

    @step_of("09")
    def gateways(self) -> Step:
        """09: the gateway as west sees it."""
        return dashboards.gateways(self)

    @step_of("10")
    def measure(self) -> Step:
        """10: wait for the warm-up, measure, keep samples and metrics."""
        exercises.silence(self)
        return latency.measure(self)

    @step_of("10")
    def latency_chart(self, name: str) -> "Figure":
        """10: one chart of the measurement."""
        return latency.chart(self, name)

    @step_of("10")
    def latency_figures(self) -> Step:
        """10: the figures of the measurement with their vantage points and warnings."""
        return latency.figures(self)

    @step_of("13")
    def add_backend(self) -> Step:
        """13: the application in west, too, and votes shared out half and half."""
        return failover.add_backend(self)

    @step_of("13")
    def fail_over(self) -> Step:
        """13: east lost, all votes to west, and back again; measured."""
        return failover.fail_over(self)

    @step_of("13")
    def put_back(self) -> Step:
        """13: as it was at the end of chapter 07."""
        return failover.put_back(self)

    def failover_chart(self) -> "Figure":
        """13: requests per second and success of each backend, with what was done marked."""
        return failover_samples.chart(self)
