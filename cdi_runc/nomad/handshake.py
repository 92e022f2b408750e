"""How go-plugin starts a plugin: the environment that it gives, and the line that it reads.

The names are those of hashicorp/go-plugin, server.go.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping

from cdi_runc.inventory.serving import MAX_PATH

COOKIE = "NOMAD_PLUGIN_MAGIC_COOKIE"
COOKIE_VALUE = "e4327c2e01eabfd75a8a67adb114fb34a757d57eee7728d857a8cec6e91a7255"
CORE_VERSION = 1  # of go-plugin's own protocol
VERSION = 2  # of Nomad's plugins

_SOCKET = "s"


def refusal(environment: Mapping[str, str]) -> str:
    """Why we do not serve the program that started us; '' if we do."""
    if environment.get(COOKIE) != COOKIE_VALUE:
        return "this is a device plugin for Nomad; put it into the agent's plugin_dir, and Nomad starts it"
    versions = environment.get("PLUGIN_PROTOCOL_VERSIONS", "")
    if versions and str(VERSION) not in versions.split(","):
        return f"the agent speaks the versions {versions} of the plugin protocol, and this plugin speaks {VERSION}"
    return ""


@contextlib.contextmanager
def socket_path(environment: Mapping[str, str]) -> Iterator[str]:
    """A path for a socket in a directory of our own, which is removed at the end. Raises OSError."""
    directory = _directory([environment.get("PLUGIN_UNIX_SOCKET_DIR") or tempfile.gettempdir(), "/tmp", "/run"])
    try:
        yield f"{directory}/{_SOCKET}"
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def line(path: str) -> str:
    """What the agent reads first."""
    return f"{CORE_VERSION}|{VERSION}|unix|{path}|grpc\n"


def _directory(parents: list[str]) -> str:
    """A new directory in the first of these that takes one and leaves room for a socket's path."""
    fault = OSError()
    for parent in parents:
        try:
            made = tempfile.mkdtemp(prefix="cdi-nomad-", dir=parent)
        except OSError as error:
            fault = error
            continue
        if len(os.fsencode(made)) + 1 + len(_SOCKET) <= MAX_PATH:
            return made
        os.rmdir(made)
    raise fault
