"""HOT. What a call of the shim does, step by step: argv, config.json, decision, outcome, config.json, exec."""

import posix

from cdi_runc.cdi.errors import CDIError
from cdi_runc.host import places, snapshot
from cdi_runc.host.errors import SettingsError
from cdi_runc.host.snapshot import Damaged, Snapshot
from cdi_runc.shim import earlier, runtime
from cdi_runc.shim.bundle import Config, mentions
from cdi_runc.shim.cmdline import parse
from cdi_runc.shim.decision import decide, from_kubelet, recorded
from cdi_runc.shim.errors import ConfigError, RuntimeMissing, ShimError
from cdi_runc.shim.launch import Launch
from cdi_runc.shim.outcome import outcome
from cdi_runc.shim.requests import DEFAULTS, needles

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    from cdi_runc.cdi.types import ContainerEdits
    from cdi_runc.host.known import Known
    from cdi_runc.host.snapshot import Rule
    from cdi_runc.shim.cmdline import Call
    from cdi_runc.shim.decision import Decision
    from cdi_runc.shim.requests import Request

    Warn = Callable[[str], None]

STARTS_CONTAINER = ("create", "run", "restore")


def main(argv: list[str]) -> "NoReturn":  # noqa: C901  # a clause for each kind of fault
    """Give the container its devices and become the runtime; or say in one line why not, and exit with 1."""
    launch = Launch(argv)
    if runtime.is_probe(launch.args, launch.environ):
        _print_and_exit(runtime.PROBE_ANSWER.decode())
    call, dialect = None, launch.dialect(launch.runtime)

    def tell(level: str, line: str) -> None:
        from cdi_runc.shim import log  # rare, and so not loaded before

        more = ""
        if level == "error" and call and call.command in STARTS_CONTAINER:
            directory = places.state_directory(launch.environ, not places.is_host_root())
            more = " (more: cdictl explain last)" if log.remember(line, call, directory) else ""
        log.tell(level, line, call, dialect, more)

    try:
        printed = launch.take_own_options()
        if printed:
            _print_and_exit(printed + "\n")
        if launch.hook:
            from cdi_runc.shim import hooks  # those of other systems, which need not be fast to this degree

            posix._exit(hooks.run(launch, lambda: _snapshot(launch, lambda line: tell("warning", line))))
        dialect = launch.dialect(launch.runtime)
        call = parse(launch.args, dialect)
        path, edited = prepare(launch, call, lambda line: tell("warning", line))
        try:
            runtime.execute(path, launch.args, launch.environ, launch.ignored)
        except RuntimeMissing:
            if edited:
                earlier.restore(edited)
            raise
    except (ShimError, SettingsError, CDIError) as fault:
        tell("error", str(fault))
    except OSError as fault:
        tell("error", f"the system refuses a call: {fault.strerror} (CDI_RUNC_DEBUG=1 logs where)")
        _tell_where(fault, launch, tell)
    except Exception as fault:
        tell(
            "error", f"internal error, please report it: {type(fault).__name__}: {fault} (CDI_RUNC_DEBUG=1 logs where)"
        )
        _tell_where(fault, launch, tell)
    finally:
        posix._exit(1)  # whatever happens in telling: no traceback


def _tell_where(fault: Exception, launch: Launch, tell: "Callable[[str, str], None]") -> None:
    if b"CDI_RUNC_DEBUG" in launch.environ:
        from traceback import format_exception

        tell("debug", " | ".join(" ".join(format_exception(fault)).splitlines()))


def prepare(launch: Launch, call: "Call", warn: "Warn") -> "tuple[str, Config | None]":
    """Edit the config of a container that is about to start, if it asks for devices.

    The path of the runtime to run, and the config where it was edited.
    """
    starts = call.command in STARTS_CONTAINER
    known: Known
    try:
        known = _snapshot(launch, warn)
    except SettingsError as fault:
        # Broken settings must not stop containers that ask for nothing.
        known = Unreadable(str(fault))
    path = runtime.find(
        launch.runtime or known.settings["runtimes"].get(launch.name, launch.name),
        launch.self_path,
        launch.environ,
        launch.default_path,
    )
    if not starts:
        return path, None
    if launch.dialect(path) != launch.dialect(launch.runtime):
        call = parse(launch.args, launch.dialect(path))
    edited = None
    if call.config:
        try:
            edited = inject(call, known, path, warn)
        except Damaged as fault:
            warn(f"the device snapshot is being rebuilt: {fault}")
            edited = inject(call, _snapshot(launch, warn, anew=True), path, warn)
    if known.settings["fault"]:
        warn(known.settings["fault"])
    return path, edited


def inject(call: "Call", known: "Known", runtime_path: str, warn: "Warn") -> "Config | None":
    """Put the devices that the config asks for into it; all of them, or an error. The config, if it was changed."""
    assert call.config
    assert call.command
    try:
        config = Config(call.config)
    except ConfigError:
        if mentions(call.config, needles(known.settings["requests"])):
            raise
        return None  # it asks for nothing of ours, and what is wrong with it the runtime will say
    before = earlier.before_edits(config)
    decision = _decided(call, before, known, runtime_path.rpartition("/")[2], warn)
    for note in decision.notes:
        warn(note)
    if decision.refused and call.command == "restore":
        warn(f"{', '.join(request.name for request in decision.refused)}: not injected: {decision.reason}")
    made = before if decision.mounts is None else {**before, "mounts": decision.mounts}
    made = outcome(made, decision.groups, places.in_user_namespace)
    edits = [each for _, each in decision.groups]
    if edits and _may_be_dropped(edits, made):
        from cdi_runc.shim.dropped import dropped, features_of  # rare, and so not loaded before

        for line in dropped(edits, made, lambda: features_of(runtime_path)):
            warn(line)
    if made == config.data:
        return None
    earlier.replace(config, before, made)
    return config


def _decided(call: "Call", config: "dict[str, Any]", known: "Known", runtime_name: str, warn: "Warn") -> "Decision":
    """What the container gets, written down where the settings want that. Raises as `decide` does."""
    command = call.command
    assert command
    given: list[Request] = []

    def decides() -> "Decision":
        given.extend(from_kubelet(config, command, known, warn))
        return decide(config, command, known, runtime=runtime_name, given=given, bundle=call.config or "")

    return recorded(decides, call, config, known, runtime_name, warn, given)


def _may_be_dropped(edits: "list[ContainerEdits]", config: "dict[str, Any]") -> bool:
    """Whether there are edits that some runtimes drop without a word (dropped.py finds out which)."""
    if any("netDevices" in each or "intelRdt" in each for each in edits):
        return True
    mounts = config.get("mounts")
    return isinstance(mounts, list) and any(
        isinstance(mount, dict) and mount.get("destination") == "/dev" and mount.get("type") != "tmpfs"
        for mount in mounts
    )


class Unreadable:
    """A host whose settings or specs can't be read at all: it has no devices, and says why. See host/known.py."""

    __slots__ = ("conflicts", "names", "refused", "settings")

    def __init__(self, fault: str) -> None:
        self.settings: dict[str, Any] = {
            "runtimes": {},
            "spec-dirs": [],
            "requests": DEFAULTS,
            "restore": "ignore",
            "policy": {"rules": 0, "fault": ""},
            "fault": fault,
        }
        self.names: list[str] = []
        self.refused: dict[str, str] = {}
        self.conflicts: dict[str, list[str]] = {}

    def find(self, name: str) -> None:
        """No device."""

    def rules(self, name: str, text: "Callable[[str], str]") -> "list[Rule]":
        """No rule."""
        return []


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


def _print_and_exit(text: str) -> "NoReturn":
    try:
        posix.write(1, text.encode())
    except OSError as error:
        raise ShimError(f"nothing can be written to standard output: {error.strerror}") from None
    posix._exit(0)
