"""How each part of Kubernetes is called, in a cluster that is set up as kubeadm does it.

Knows the programs' options and each part's credentials; starts nothing.
"""

from integration.cluster.credentials import Credentials

# The machine's own addresses: the node's, and the one of the service `kubernetes`. The API server listens on both, at
# the port of the service, so that nothing has to translate between them.
NODE_ADDRESS, SERVICE_ADDRESS = ADDRESSES = ("10.0.0.1", "10.96.0.1")
NODE = "node-1"

SERVER = f"https://{SERVICE_ADDRESS}"
NAMES = ("kubernetes", "kubernetes.default", "kubernetes.default.svc")

# Where the pods are, for a CNI plugin: each has a wire of its own to the machine.
POD_NETWORK = """\
{
  "cniVersion": "0.4.0",
  "name": "pods",
  "plugins": [{
    "type": "ptp",
    "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.244.0.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}
  }]
}
"""


def issue_credentials(credentials: Credentials) -> None:
    """Makes those of every part, and `admin`'s, who may do everything."""
    credentials.issue("api-server", [*(f"DNS:{name}" for name in NAMES), *(f"IP:{address}" for address in ADDRESSES)])
    credentials.issue("service-accounts")
    credentials.issue("api-server-as-client", user="kube-apiserver-kubelet-client", group="system:masters")
    credentials.issue("admin", user="kubernetes-admin", group="system:masters")
    credentials.issue("controller-manager", user="system:kube-controller-manager")
    credentials.issue("scheduler", user="system:kube-scheduler")
    credentials.issue("kubelet", user=f"system:node:{NODE}", group="system:nodes")
    for client in ("admin", "controller-manager", "scheduler", "kubelet"):
        credentials.configure(client, SERVER)


def etcd() -> list[str]:
    return ["etcd", "--data-dir=/var/lib/etcd"]


def api_server(credentials: Credentials) -> list[str]:
    return [
        "kube-apiserver",
        f"--advertise-address={NODE_ADDRESS}",
        "--secure-port=443",
        "--service-cluster-ip-range=10.96.0.0/16",
        "--etcd-servers=http://127.0.0.1:2379",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        f"--client-ca-file={credentials.certificate('ca')}",
        f"--tls-cert-file={credentials.certificate('api-server')}",
        f"--tls-private-key-file={credentials.key('api-server')}",
        f"--kubelet-client-certificate={credentials.certificate('api-server-as-client')}",
        f"--kubelet-client-key={credentials.key('api-server-as-client')}",
        "--kubelet-preferred-address-types=InternalIP",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={credentials.certificate('service-accounts')}",
        f"--service-account-signing-key-file={credentials.key('service-accounts')}",
    ]


def controller_manager(credentials: Credentials) -> list[str]:
    return [
        "kube-controller-manager",
        f"--kubeconfig={credentials.kubeconfig('controller-manager')}",
        f"--root-ca-file={credentials.certificate('ca')}",
        f"--service-account-private-key-file={credentials.key('service-accounts')}",
        "--use-service-account-credentials=true",
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
    ]


def scheduler(credentials: Credentials) -> list[str]:
    return [
        "kube-scheduler",
        f"--kubeconfig={credentials.kubeconfig('scheduler')}",
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
    ]


def kubelet(credentials: Credentials, config: str, engine: str, version: tuple[int, ...]) -> list[str]:
    # From 1.27 on the file says where the engine is, and these options go.
    of_engine = ["--container-runtime=remote", f"--container-runtime-endpoint={engine}"] if version < (1, 27) else []
    return [
        "kubelet",
        *of_engine,
        f"--config={config}",
        f"--kubeconfig={credentials.kubeconfig('kubelet')}",
        f"--hostname-override={NODE}",
        f"--node-ip={NODE_ADDRESS}",
    ]


def kubelet_config(credentials: Credentials, engine: str, cgroup: str) -> dict[str, object]:
    """What stands in the kubelet's file; `engine` is its socket, and `cgroup` the one below which its pods are.

    An old kubelet ignores what it does not know.
    """
    return {
        "kind": "KubeletConfiguration",
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "authentication": {"anonymous": {"enabled": False}, "x509": {"clientCAFile": credentials.certificate("ca")}},
        "containerRuntimeEndpoint": engine,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": cgroup,
        "failCgroupV1": False,
        "failSwapOn": False,
        # The node's disk is memory, which is nobody's to tidy.
        "evictionHard": {"nodefs.available": "1%", "imagefs.available": "1%", "memory.available": "10Mi"},
        "imageGCHighThresholdPercent": 100,
        # So that what it has of a device plugin is soon in the node's status.
        "nodeStatusUpdateFrequency": "1s",
    }
