"""RARE. What the kubelet gave to a pod's container, for engines that do not pass it on (docs/kubernetes.md).

Loaded only where config.yaml says `requests: {kubelet: true}`, for containers that the annotations of a pod belong to.
"""
