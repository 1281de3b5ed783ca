"""The node agent: runs the pods that are bound to it, as the kubelet does."""
