"""cdi-node, the program that offers a node's CDI devices to Kubernetes for as long as it runs.

SIGTERM ends it and leaves all as it is, since another instance may come, unless its DaemonSet is being removed. SIGUSR1
withdraws everything first.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import signal
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from cdi_runc import __version__
from cdi_runc.host import settings
from cdi_runc.host.places import SYSTEM_CONFIG
from cdi_runc.inventory.ending import end

if TYPE_CHECKING:
    from cdi_runc.kubernetes.node import Node


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; an error is one line."""
    options = _parser().parse_args(arguments)
    try:
        from cdi_runc.kubernetes import node as nodes
    except ModuleNotFoundError as error:
        sys.exit(f"cdi-node: there is no Python module {error.name}: install cdi-runc with them: cdi-runc[nodes]")
    try:
        node = nodes.Node(options, _spec_dirs(options), say)
        asyncio.run(_until_signalled(node))
    except (OSError, ValueError) as error:
        where = f"{error.filename}: " if isinstance(error, OSError) and error.filename else ""
        sys.exit(f"cdi-node: {where}{getattr(error, 'strerror', None) or error}")


def say(line: str) -> None:
    """For the journal, or `kubectl logs`."""
    print(f"cdi-node: {line}", file=sys.stderr, flush=True)


async def _until_signalled(node: Node) -> None:
    loop = asyncio.get_running_loop()
    signalled: asyncio.Future[bool] = loop.create_future()  # whether to withdraw
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
        loop.add_signal_handler(number, _settle, signalled, number == signal.SIGUSR1)
    serving = asyncio.ensure_future(node.serve())
    either: list[asyncio.Future[Any]] = [serving, signalled]
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    if serving.done():
        serving.result()
    else:
        leaving = asyncio.ensure_future(node.leave(signalled.result()))
        await asyncio.wait([serving, leaving], return_when=asyncio.FIRST_COMPLETED)
        await end([leaving])
    await end([serving])


def _settle(signalled: asyncio.Future[bool], withdraw: bool) -> None:
    if not signalled.done():
        signalled.set_result(withdraw)


def _spec_dirs(options: argparse.Namespace) -> Iterable[str]:
    found: Iterable[str] = options.spec_dir or settings.read(SYSTEM_CONFIG)["spec-dirs"]
    return found


class _Parser(argparse.ArgumentParser):
    """One line is enough to say what is wrong."""

    def error(self, message: str) -> NoReturn:
        """Say it, and exit with 2."""
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="cdi-node",
        allow_abbrev=False,
        description="Offer the CDI devices of this node to Kubernetes: as extended resources, by claims, or both.",
    )
    parser.add_argument("how", choices=["device-plugin", "dra", "both"], help="how pods ask for a device")
    parser.add_argument("--kubelet-dir", default="/var/lib/kubelet", metavar="DIR", help="the kubelet's (%(default)s)")
    parser.add_argument(
        "--spec-dir", action="append", metavar="DIR", help="where CDI specs are; may be repeated, the last wins"
    )
    parser.add_argument("--kubeconfig", metavar="FILE", help="how to reach the cluster; in a pod, its service account")
    parser.add_argument(
        "--node-name",
        default=os.environ.get("NODE_NAME") or platform.node().lower(),
        metavar="NAME",
        help="this node's name in the cluster (%(default)s)",
    )
    parser.add_argument(
        "--label-node", action="store_true", help="label the node cdi-runc/devices=ready while all is registered"
    )
    parser.add_argument(
        "--daemon-set",
        metavar="NAMESPACE/NAME",
        help="withdraw all at SIGTERM if this DaemonSet is being removed; else only at SIGUSR1",
    )
    parser.add_argument("--host-root", default="/", metavar="DIR", help="where the host's root is (%(default)s)")
    parser.add_argument("--listen", metavar="[HOST:]PORT", help="serve /readyz, /healthz and /metrics there")
    parser.add_argument("--version", action="version", version=f"cdi-node {__version__}")
    return parser
