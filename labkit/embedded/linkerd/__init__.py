"""The `linkerd` command of the embedded cloud, started as `python -m labkit.embedded.linkerd`.

It has the flags, outputs and exit codes of Linkerd edge-26.6.3 (2.20) and reaches the cluster only
through the Kubernetes API, as the real command does. It is imported by nobody.
"""
