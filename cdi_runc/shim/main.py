"""HOT. What a call of the shim does, arrow by arrow: argv, config.json, requests, devices, edits, config.json, exec."""

import posix

from cdi_runc.cdi.edits import apply
from cdi_runc.cdi.errors import CDIError, UnresolvableDevices
from cdi_runc.cdi.injection import pending, resolve
from cdi_runc.host import places, snapshot
from cdi_runc.host.errors import SettingsError
from cdi_runc.host.snapshot import Damaged, Snapshot
from cdi_runc.shim import runtime
from cdi_runc.shim.bundle import Config, mentions
from cdi_runc.shim.cmdline import parse
from cdi_runc.shim.errors import ConfigError, ShimError
from cdi_runc.shim.launch import Launch
from cdi_runc.shim.requests import needles, requested, without_markers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from cdi_runc.cdi.injection import Group
    from cdi_runc.shim.cmdline import Call

STARTS_CONTAINER = ("create", "run", "restore")


def main(argv: list[str]) -> "NoReturn":
    """Give the container its devices and become the runtime; or say in one line why not, and exit with 1."""
    launch = Launch(argv)
    if runtime.PROBE in launch.environ:
        _print_and_exit(runtime.PROBE_ANSWER.decode())
    call, dialect = None, launch.dialect(launch.runtime)

    def tell(level: str, line: str) -> None:
        from cdi_runc.shim import log  # rare, and so not loaded before

        log.tell(level, line, call, dialect)
        if level == "error":
            log.remember(line, call, places.state_directory(launch.environ, not places.is_host_root()))

    try:
        printed = launch.take_own_options()
        if printed:
            _print_and_exit(printed + "\n")
        dialect = launch.dialect(launch.runtime)
        call = parse(launch.args, dialect)
        path = prepare(launch, call, lambda line: tell("warning", line))
        runtime.execute(path, launch.args, launch.environ, launch.ignored)
    except (ShimError, SettingsError, CDIError) as fault:
        tell("error", str(fault))
    except Exception as fault:
        tell(
            "error", f"internal error, please report it: {type(fault).__name__}: {fault} (CDI_RUNC_DEBUG=1 logs where)"
        )
        if b"CDI_RUNC_DEBUG" in launch.environ:
            from traceback import format_exception

            tell("debug", " | ".join(" ".join(format_exception(fault)).splitlines()))
    finally:
        posix._exit(1)  # whatever happens in telling: no traceback


def prepare(launch: Launch, call: "Call", warn: "Callable[[str], None]") -> str:
    """Edit the config of a container that is about to start, if it asks for devices; the path of the runtime to run."""
    starts = call.command in STARTS_CONTAINER
    try:
        known = _snapshot(launch, warn)
        runtimes = known.settings["runtimes"]
        if starts and known.settings["fault"]:
            raise SettingsError(known.settings["fault"])
    except SettingsError as fault:
        if starts:
            raise
        # Nobody's container should be out of reach because our settings are broken.
        warn(str(fault))
        runtimes = {}
    path = runtime.find(launch.runtime or runtimes.get(launch.name, launch.name), launch.self_path, launch.environ)
    if starts:
        if launch.dialect(path) != launch.dialect(launch.runtime):
            call = parse(launch.args, launch.dialect(path))
        if call.config:
            try:
                inject(call, known, warn)
            except Damaged as fault:
                warn(f"snapshot: not used and made anew: {fault}")
                inject(call, _snapshot(launch, warn, anew=True), warn)
    return path


def inject(call: "Call", known: Snapshot, warn: "Callable[[str], None]") -> None:
    """Put the devices that the config asks for into it, those that are not there yet; all of them, or an error."""
    assert call.config
    sources = known.settings["requests"]
    try:
        config = Config(call.config)
    except ConfigError:
        if mentions(call.config, needles(sources)):
            raise
        return  # it asks for nothing of ours, and what is wrong with it the runtime will say
    names = requested(config.data, sources)
    if names and call.command == "restore" and known.settings["restore"] == "ignore":
        warn(f"restore: {', '.join(names)} not injected, since 'restore: inject' is not set in config.yaml")
        return
    kept = without_markers(config.data, sources)
    if kept is not None:
        config.data["mounts"] = kept
    groups = to_be_made(config.data, names, known)
    apply(config.data, groups)
    if groups or kept is not None:
        config.replace()


def to_be_made(config: "dict[str, object]", names: list[str], known: Snapshot) -> "list[Group]":
    """The edits of these devices that the config has not yet, in the order in which they are to be made."""
    try:
        return pending(config, resolve(names, known.find))
    except UnresolvableDevices as missing:
        raise ShimError(_why_unresolvable(missing.names, known)) from None


def _snapshot(launch: Launch, warn: "Callable[[str], None]", anew: bool = False) -> Snapshot:
    rootless = not places.is_host_root()
    config = launch.config or places.config_path(launch.environ, rootless)
    directory, name = places.state_directory(launch.environ, rootless), places.snapshot_name(config)
    try:
        kept = None if anew else snapshot.load(directory, name)
    except Damaged:
        kept = None  # which rebuilt() tells, once it is nobody else's turn to mend it
    if kept and kept.is_fresh():
        return kept
    from cdi_runc.host.rebuild import builder, rebuilt

    return rebuilt(directory, name, builder(launch.full_python, config), warn, anew)


def _why_unresolvable(names: tuple[str, ...], known: Snapshot) -> str:
    """One line on devices that can't be had: defined twice, or nowhere, perhaps because of a file that is not used."""
    reasons = [
        f"{name} is defined twice: in {' and in '.join(known.conflicts[name])}"
        if name in known.conflicts
        else f"{name} is no known CDI device"
        for name in names
    ]
    if all(name in known.conflicts for name in names):
        return "; ".join(reasons)
    in_conflict = {path for paths in known.conflicts.values() for path in paths}
    refused = [line for path, line in known.refused.items() if path not in in_conflict]
    where = ", ".join(known.settings["spec-dirs"])
    return "; ".join([*reasons, f"looked in {where}", *(f"not used: {line}" for line in refused[:3])])


def _print_and_exit(text: str) -> "NoReturn":
    posix.write(1, text.encode())
    posix._exit(0)
