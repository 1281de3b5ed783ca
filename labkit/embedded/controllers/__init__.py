"""The controllers of an embedded cluster: each follows some objects and writes others.

They know nothing of each other; all of them meet at the Kubernetes API. `manager.run_all` starts
them.
"""
