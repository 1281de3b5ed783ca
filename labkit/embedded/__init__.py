"""The embedded cloud: DigitalOcean's and Kubernetes' APIs, a mesh and a WAN on one machine.

It is started as `python -m labkit.embedded start --state DIR` and reached over its wire only:
HTTPS with a token. Nothing above the wire imports this package.
"""
