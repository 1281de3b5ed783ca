"""The rules of the Kubernetes API as pure functions on dicts: no I/O, no server, no storage.

Schemas decide wherever they can; what Kubernetes writes in Go per kind (defaults, immutables,
printed columns) is here as tables.
"""
