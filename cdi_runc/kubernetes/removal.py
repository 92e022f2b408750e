"""Whether this pod's DaemonSet goes on: a pod that is only replaced takes nothing back."""

from __future__ import annotations

from cdi_runc.kubernetes.api import ApiError, Cluster, NoAnswer


def daemon_set_path(name: str) -> str:
    """Where the API has a DaemonSet, from NAMESPACE/NAME. Raises ValueError.

    >>> daemon_set_path("gpu/cdi-node")
    '/apis/apps/v1/namespaces/gpu/daemonsets/cdi-node'
    """
    namespace, separator, own = name.partition("/")
    if not namespace or not own or not separator or "/" in own:
        raise ValueError(f"{name!r} is not NAMESPACE/NAME of a DaemonSet")
    return f"/apis/apps/v1/namespaces/{namespace}/daemonsets/{own}"


async def goes_on(cluster: Cluster, path: str) -> bool:
    """Whether the DaemonSet stays. Where we may not ask any more, all of ours is being removed."""
    try:
        return "deletionTimestamp" not in (await cluster.call("GET", path))["metadata"]
    except ApiError as error:
        return error.status not in (401, 403, 404)
    except NoAnswer:
        return True
