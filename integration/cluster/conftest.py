"""The clusters: on Debian 12 and 13 with what cdi-runc depends on, but no cdi-runc; with containerd or CRI-O."""

import os
import shutil
from collections.abc import Iterator

import pytest

from integration.bundles import static_busybox
from integration.cluster.cluster import PLACE, PROGRAMS, Cluster, find
from integration.cluster.engine import ENGINES
from integration.cluster.node import Node
from integration.cluster.parts import ADDRESSES
from integration.cluster.shim import HANDLERS, configure
from integration.engines.host import Host
from integration.packaging.conftest import ROOTS, TREE

# containerd 1.6, 1.7, and the CRI-O that is there.
NODES = [("debian-12-ready", "containerd"), ("debian-13-ready", "containerd"), ("debian-13-ready", "crio")]


@pytest.fixture(scope="module", params=NODES, ids=["debian-12-containerd", "debian-13-containerd", "debian-13-crio"])
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster of one node, which nothing has been done to."""
    root, engine = request.param
    if os.geteuid() != 0:
        pytest.skip("a node needs root")
    wanted = [*PROGRAMS, *ENGINES[engine].programs]
    if missing := [program for program in wanted if find(program) is None]:
        pytest.skip(
            f"no {', '.join(missing)} in {PLACE} ($CDI_RUNC_KUBERNETES) or on PATH; "
            "Debian has no package of Kubernetes or CRI-O, and etcd in etcd-server"
        )
    if missing := [program for program in ("ip", "openssl") if shutil.which(program) is None]:
        pytest.skip(f"{' and '.join(missing)} not installed")
    if static_busybox() is None:
        pytest.skip("busybox-static is not installed (make deps)")
    if not (ROOTS / root).exists():
        pytest.skip(f"no {root} in {ROOTS} (make clean-roots)")
    try:
        host = Host(ROOTS / root, tmp_path_factory.mktemp("cluster"), TREE, ADDRESSES)
    except RuntimeError as error:
        pytest.skip(f"no machine to spoil can be made here: {error}")
    cluster = Cluster(host, engine)
    yield cluster
    cluster.close()


@pytest.fixture(scope="module")
def prepared(cluster: Cluster) -> Node:
    return Node(cluster)


@pytest.fixture
def node(prepared: Node) -> Iterator[Node]:
    """The node, whose lamps no container has had yet."""
    prepared.lamps.forget()
    yield prepared
    prepared.restore()


@pytest.fixture
def engine_with_cdi(node: Node) -> Iterator[None]:
    """The engine, as long as it reads CDI specs itself."""
    if node.cluster.engine == "crio":  # whose CDI is always on
        yield
        return
    path = HANDLERS["containerd"][0]
    if node.host.version("containerd", "--version") < (1, 7):
        pytest.skip("containerd has CDI from 1.7 on")
    text = node.host.path(path).read_text()
    section = '[plugins."io.containerd.grpc.v1.cri"]\n'
    configure(node.cluster, text.replace(section, f"{section}  enable_cdi = true\n"))
    yield
    configure(node.cluster, text)


@pytest.fixture
def asking(node: Node) -> Iterator[None]:
    """cdi-runc, as long as it heeds no annotation and asks the kubelet."""
    path = "/etc/cdi-runc/config.yaml"
    node.host.write(path, "requests:\n  annotations: []\n  kubelet: true\n")
    yield
    node.host.path(path).unlink()
