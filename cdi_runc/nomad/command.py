"""cdi-nomad, the plugin's program: Nomad's agent starts it, and it ends with the agent."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import sys
from typing import TYPE_CHECKING

from cdi_runc.host.places import SYSTEM_CONFIG
from cdi_runc.nomad import handshake
from cdi_runc.nomad.log import log

if TYPE_CHECKING:
    from cdi_runc.nomad.plugin import Plugin


def main(settings_file: str = SYSTEM_CONFIG) -> None:
    """Serve the agent that has started us. Anybody else gets one line, but for cdictl, which tries the plugin."""
    if len(sys.argv) == 5 and sys.argv[1] == "--try":
        from cdi_runc.nomad import trying

        print(trying.main(*sys.argv[2:]))
        return
    refusal = handshake.refusal(os.environ)
    if refusal:
        sys.exit(f"cdi-nomad: {refusal}")
    if sys.stdout is None:  # its number may be that of another file later
        sys.exit("cdi-nomad: standard output is closed, and Nomad reads the plugin's address there")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an agent in a terminal gets it, and ends us in its own way
    try:
        asyncio.run(_serve(settings_file))
    except ModuleNotFoundError as error:
        _fail(f"there is no Python module {error.name}: install cdi-runc with them: cdi-runc[nodes]")
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _fail(f"{where}{error.strerror or error}")


def _fail(message: str) -> None:
    log("error", message)
    sys.exit(1)


async def _serve(settings_file: str) -> None:
    from cdi_runc.inventory.serving import served
    from cdi_runc.nomad.plugin import Plugin

    plugin = Plugin(settings_file)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, _end, plugin)
    with handshake.socket_path(os.environ) as path:
        async with served(path, plugin.methods()):
            os.write(1, handshake.line(path).encode())
            if _is_pipe(1):
                # Nothing can be read from it: it wakes us when the agent, who reads it, is gone.
                loop.add_reader(1, _end, plugin)
            try:
                await plugin.ended
            finally:
                loop.remove_reader(1)
                await plugin.close()


def _is_pipe(descriptor: int) -> bool:
    return stat.S_ISFIFO(os.fstat(descriptor).st_mode)


def _end(plugin: Plugin) -> None:
    if not plugin.ended.done():
        plugin.ended.set_result(None)
