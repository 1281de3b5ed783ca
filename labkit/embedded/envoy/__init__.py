"""Envoy as a library: configuration values, a REST xDS server, and the process.

Knows nothing of Kubernetes or Linkerd. `resources` builds xDS resources as plain dicts,
`bootstrap` the start-up file, `xds` serves snapshots by long-poll, `admin` asks a running Envoy,
and `process` finds and starts the binary.
"""
