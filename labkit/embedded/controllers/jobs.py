"""Jobs: pods until enough of them have succeeded, or too many have failed.

A pod that failed is followed by the next after a delay that doubles. CronJobs are only stored:
nothing in the lab waits for a schedule. Indexed completion and pod failure policies are left out.
"""

import asyncio
import copy
from dataclasses import dataclass, field

from labkit.embedded.controllers import job_outcomes, objects
from labkit.embedded.controllers.events import EventWriter, Recorder
from labkit.embedded.controllers.informers import SharedInformers
from labkit.embedded.controllers.reconciling import Key, enqueue_all, is_ending, reconcile_forever
from labkit.embedded.informing import WorkQueue
from labkit.embedded.kube import KubeClient, KubeError, Object, key_of, path_of

API_VERSION = "batch/v1"
KIND = "Job"
_COMPLETE = ("SuccessCriteriaMet", "Complete")
_FAILED = ("FailureTarget", "Failed")


async def run(kube: KubeClient, informers: SharedInformers, events: EventWriter) -> None:
    """Follow Jobs and their pods until cancelled."""
    await _Controller(kube, informers, events.recorder("job-controller")).run()


@dataclass
class _Controller:
    kube: KubeClient
    informers: SharedInformers
    recorder: Recorder
    queue: WorkQueue[Key] = field(default_factory=WorkQueue)

    def __post_init__(self) -> None:
        self.jobs = self.informers.of(API_VERSION, "jobs")
        self.pods = self.informers.of("v1", "pods")

    async def run(self) -> None:
        await asyncio.gather(self.jobs.synced(), self.pods.synced())
        enqueue_all(self.queue, self.jobs)
        self.pods.subscribe(self._pod_changed)
        await reconcile_forever("jobs", self.queue, self._reconcile, workers=2)

    def _pod_changed(self, _: str, pod: Object) -> None:
        owner = objects.controller_of(pod)
        if owner is not None and owner["kind"] == KIND:
            self.queue.add((pod["metadata"]["namespace"], owner["name"]))

    async def _reconcile(self, key: Key) -> None:
        job = self.jobs.get(*key)
        if job is None or objects.is_deleting(job) or _is_over(job):
            return
        pods = [p for p in self.pods.list(key[0]) if objects.is_controlled_by(p, job)]
        by_phase = {phase: _in_phase(pods, phase) for phase in ("Succeeded", "Failed")}
        active = [pod for pod in pods if objects.is_pod_active(pod)]
        spec = job["spec"]
        wanted = spec.get("completions") or spec.get("parallelism", 1)
        missing = wanted - len(by_phase["Succeeded"]) - len(active)
        count = max(min(missing, spec.get("parallelism", 1) - len(active)), 0)
        complete = len(by_phase["Succeeded"]) >= wanted
        failed = ("", "") if complete else job_outcomes.failure(job, pods, active)
        try:
            if failed[0] or spec.get("suspend"):
                await self._delete_pods(job, active)
                active = []
            elif count and (wait_s := job_outcomes.wait_s(pods)) > 0:
                self.queue.add_after(key, wait_s)
            else:
                active += [await self._create_pod(job) for _ in range(count)]
        except KubeError as error:
            if not is_ending(error):
                raise
            return
        outcome = ("CompletionsReached", "") if complete else failed
        written = await self._write_status(job, active, by_phase, outcome=outcome)
        left_s = job_outcomes.deadline_s(written)
        if left_s is not None and not _is_over(written):
            self.queue.add_after(key, max(left_s, 0.0))

    async def _delete_pods(self, job: Object, pods: list[Object]) -> None:
        """Delete the pods of a Job that has failed or rests."""
        for pod in pods:
            namespace, name = key_of(pod)
            try:
                await self.kube.delete(path_of("v1", "pods", namespace, name))
            except KubeError as error:
                if error.status != 404:
                    raise
            self.recorder.normal(job, "SuccessfulDelete", f"Deleted pod: {name}")

    async def _create_pod(self, job: Object) -> Object:
        namespace, name = key_of(job)
        template = copy.deepcopy(job["spec"]["template"])
        labels = (template.get("metadata") or {}).get("labels") or {}
        own = {"batch.kubernetes.io/job-name": name, "job-name": name}
        uid = job["metadata"]["uid"]
        own |= {"batch.kubernetes.io/controller-uid": uid, "controller-uid": uid}
        body = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "generateName": f"{name}-",
                "labels": {**labels, **own},
                "annotations": (template.get("metadata") or {}).get("annotations") or {},
                "ownerReferences": [objects.reference_to(job, api_version=API_VERSION, kind=KIND)],
            },
            "spec": template["spec"],
        }
        pod = await self.kube.create(path_of("v1", "pods", namespace), body)
        self.recorder.normal(job, "SuccessfulCreate", f"Created pod: {pod['metadata']['name']}")
        await self.pods.until_seen(pod)
        return pod

    async def _write_status(
        self,
        job: Object,
        active: list[Object],
        by_phase: dict[str, list[Object]],
        *,
        outcome: tuple[str, str],
    ) -> Object:
        """Write what has become of a Job; `outcome` is a reason (and message), or empty."""
        known = job.get("status", {})
        status: Object = {**known, "startTime": known.get("startTime") or objects.now()}
        counts = {
            "active": len(active),
            "succeeded": len(by_phase["Succeeded"]),
            "failed": len(by_phase["Failed"]),
            "ready": len([pod for pod in active if objects.is_pod_ready(pod)]),
        }
        status |= counts
        reason, message = outcome
        if reason == "CompletionsReached":
            status["completionTime"] = objects.now()
            message, kinds = "Reached expected number of succeeded pods", _COMPLETE
            self.recorder.normal(job, "Completed", "Job completed")
        elif reason:
            kinds = _FAILED
            self.recorder.warning(job, reason, message)
        if reason:
            status["conditions"] = job_outcomes.ending(kinds, reason, message)
        if status == known:
            return job
        path = path_of(API_VERSION, "jobs", *key_of(job), "status")
        written = await self.kube.replace(path, {**job, "status": status})
        await self.jobs.until_seen(written)
        return written


def _in_phase(pods: list[Object], phase: str) -> list[Object]:
    return [pod for pod in pods if pod.get("status", {}).get("phase") == phase]


def _is_over(job: Object) -> bool:
    kinds = ("Complete", "Failed")
    return any(objects.condition_of(job, kind).get("status") == "True" for kind in kinds)
