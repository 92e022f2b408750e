"""Every CDI device as a resource of Kubernetes: by device plugins, and by a driver for dynamic resource allocation.

Both are front ends of one inventory and know nothing of each other. `cdi-node` runs them on a node.
"""
