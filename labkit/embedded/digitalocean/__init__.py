"""DigitalOcean's REST API of the embedded cloud: account, catalogue, Kubernetes, load balancers."""
