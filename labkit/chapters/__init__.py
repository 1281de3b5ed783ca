"""The POC, one module per chapter: steps that may be repeated, and the checks that prove them.

A step looks, creates what is missing, waits with a reason, and returns a value that shows itself.
Nothing here asks which cloud it is on.
"""

from types import ModuleType

from labkit.chapters import (
    break_it,
    cleanup,
    clusters,
    dashboards,
    emojivoto,
    failover,
    latency,
    linkerd,
    mirror,
    mtls,
    multicluster_link,
    start_here,
    traffic,
    trust_anchor,
)

CHAPTERS: tuple[ModuleType, ...] = (
    start_here,
    clusters,
    trust_anchor,
    linkerd,
    multicluster_link,
    emojivoto,
    mirror,
    traffic,
    mtls,
    dashboards,
    latency,
    break_it,
    failover,
    cleanup,
)
"""In the order of the notebooks; each has `CHECKS`.

Those that change something also have `STEPS`, in the notebook's order, and `undo`, which takes the
lab back to the chapter's start, may be called at any time, and never touches another chapter.
Where steps only observe, `done` says whether what they saw is kept: catch-up on the way to a later
chapter does not observe again.
"""
