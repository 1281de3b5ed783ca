"""Linkerd's viz extension: Prometheus, tap, metrics API and the web page.

Each component is a module with a `run(container, runtime)` coroutine that the node starts as the
program of a container. They meet only at the Kubernetes API and over HTTP.
"""
