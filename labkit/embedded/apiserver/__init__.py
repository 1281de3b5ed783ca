"""The Kubernetes API of an embedded cluster: one server, one SQLite file, real clients."""
