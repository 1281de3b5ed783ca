"""The service mesh of the embedded cloud, in Linkerd's shape, with Envoy as its proxy.

`identity` signs certificates, `destination` turns Kubernetes objects into Envoy configuration,
`injector` adds the sidecar to pods, `proxy` is the sidecar, `node_proxy` serves pods without one.
Deliberately different from Linkerd: traffic is led to the proxy by `http_proxy`, not iptables,
and the proxies speak xDS, not Linkerd's own protocols.
"""
