"""The cluster: on a Debian 13 that has containerd and what cdi-runc depends on, but no cdi-runc."""

import os
import shutil
from collections.abc import Iterator

import pytest

from integration.bundles import static_busybox
from integration.cluster.cluster import PLACE, PROGRAMS, Cluster, find
from integration.cluster.parts import ADDRESSES
from integration.engines.host import Host
from integration.packaging.conftest import ROOTS, TREE

ROOT = ROOTS / "debian-13-ready"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster of one node, which nothing has been done to."""
    if os.geteuid() != 0:
        pytest.skip("a node needs root")
    if missing := [program for program in PROGRAMS if find(program) is None]:
        pytest.skip(f"no Kubernetes here: {', '.join(missing)} neither in {PLACE} nor on PATH (CDI_RUNC_KUBERNETES)")
    if missing := [program for program in ("ip", "openssl") if shutil.which(program) is None]:
        pytest.skip(f"{' and '.join(missing)} not installed")
    if static_busybox() is None:
        pytest.skip("busybox-static is not installed (make deps)")
    if not ROOT.exists():
        pytest.skip(f"no {ROOT} (make clean-roots)")
    try:
        host = Host(ROOT, tmp_path_factory.mktemp("cluster"), TREE, ADDRESSES)
    except RuntimeError as error:
        pytest.skip(f"no machine to spoil can be made here: {error}")
    cluster = Cluster(host)
    yield cluster
    cluster.close()
