"""HOT. What a container gets: which of its requests are followed, why others are not, and the edits that come of it.

The one place that decides. The shim, `cdictl diff`, `cdictl explain` and the engines' hooks ask it, each with its own
way to read a config and to use the answer. It reads no file and writes none. Only `from_kubelet` asks somebody else,
and only `recorded` has the decision written down.
"""

from cdi_runc.cdi.errors import CDIError, UnresolvableDevices
from cdi_runc.cdi.injection import resolve
from cdi_runc.host.errors import SettingsError
from cdi_runc.shim import policy
from cdi_runc.shim.errors import ShimError
from cdi_runc.shim.requests import Request, requested, without_markers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from cdi_runc.cdi.injection import Group
    from cdi_runc.host.known import Known
    from cdi_runc.host.snapshot import Rule
    from cdi_runc.shim.cmdline import Call
    from cdi_runc.shim.policy import Container

# A pod's pause container has the pod's annotations, and gets none of the devices (containerd's CRI, CRI-O).
SANDBOX = {"io.kubernetes.cri.container-type": "sandbox", "io.kubernetes.cri-o.ContainerType": "sandbox"}


class Decision:
    """What a container gets.

    requests: all that it asks for, in the order in which the edits are made. refused: those of them that are not
    followed. reason: why, in words. rules: the rule of the policy that allows a device, by the device's name. groups:
    the edits of the devices that it gets. mounts: the config's mounts without those that only ask for a device, or None
    where they can stay as they are. notes: what a rule reports, a line each.
    """

    __slots__ = ("groups", "mounts", "notes", "reason", "refused", "requests", "rules")

    def __init__(self, requests: "list[Request]") -> None:
        self.requests = requests
        self.refused: list[Request] = []
        self.reason = ""
        self.rules: dict[str, Rule] = {}
        self.groups: list[Group] = []
        self.notes: list[str] = []
        self.mounts: list[object] | None = None


def decide(
    config: "Mapping[str, Any]",
    command: str,
    known: "Known",
    asked: "Sequence[Request] | None" = None,
    runtime: str = "",
    given: "Sequence[Request]" = (),
    bundle: str = "",
) -> Decision:
    """Decide what a container gets that is to be started from this OCI config.

    command: `create`, `run` or `restore`. known: the settings and the devices of the host. asked: what to take for the
    container's requests, in place of those in the config. runtime: the name of the runtime that will run it. given: the
    requests of `from_kubelet`, which come after the container's own. bundle: the path of the bundle or of its config.
    Raises ShimError, SettingsError and CDIError where a device is asked for that the container can't have.
    """
    settings = known.settings
    reason = why_refused(config, command, settings)
    try:
        decision = Decision(together(requested(config, settings["requests"]) if asked is None else asked, given))
    except (ShimError, CDIError):
        if not reason:
            raise
        decision = Decision([])
    if reason:
        decision.refused, decision.reason = decision.requests, reason
    elif decision.requests:
        if settings["fault"] or settings["policy"]["fault"]:
            raise SettingsError(settings["fault"] or settings["policy"]["fault"])
        _judge(decision, lambda: policy.Container(config, command, runtime, bundle), known)
    if command != "restore" or not reason:
        decision.mounts = without_markers(config, settings["requests"])
    return decision


def from_kubelet(
    config: "Mapping[str, Any]", command: str, known: "Known", warn: "Callable[[str], None]"
) -> "list[Request]":
    """The devices that the kubelet gave to a pod's container; none where the settings do not want it to be asked.

    warn: is told if the kubelet does not know the pod. Raises ShimError where the kubelet does not answer.
    """
    sources = known.settings["requests"]
    if not sources.get("kubelet") or why_refused(config, command, known.settings):
        return []
    annotations, mounts = config.get("annotations"), config.get("mounts")
    if not isinstance(annotations, dict) or not any(key in annotations for key in SANDBOX):
        # Docker's containers have none, and cri-dockerd's are known by a mount of the kubelet's (kubelet/given.py).
        pods = f"{sources['kubelet-dir'].rstrip('/')}/pods/"
        if not isinstance(mounts, list) or not any(
            isinstance(mount, dict) and str(mount.get("source")).startswith(pods) for mount in mounts
        ):
            return []
    from cdi_runc.shim.kubelet.given import given  # rare, and so not loaded before

    return given(config, known, warn)


def together(own: "Sequence[Request]", given: "Sequence[Request]") -> "list[Request]":
    """A container's own requests, and then those of `from_kubelet` for other devices."""
    names = {request.name for request in own} if given else ()
    return [*own, *(request for request in given if request.name not in names)]


def recorded(
    decides: "Callable[[], Decision]",
    call: "Call",
    config: "Mapping[str, Any]",
    known: "Known",
    runtime: str,
    warn: "Callable[[str], None]",
    asked: "Sequence[Request]" = (),
) -> Decision:
    """What `decides` decides. It is written down where the settings want that, and so is why it raises.

    asked: the requests that are not in the config, as far as `decides` has found them. The rest is as for audit.record.
    """
    decided: Decision | Exception | None = None
    try:
        decided = decides()
        return decided
    except (ShimError, SettingsError, CDIError) as fault:
        decided = fault
        raise
    finally:
        if decided and known.settings.get("audit", "none") != "none":
            from cdi_runc.shim.audit import record  # rare, and so not loaded before

            record(call, config, known, runtime, decided, warn, asked)


def _judge(decision: Decision, container: "Callable[[], Container]", known: "Known") -> None:
    """Let the policy allow the requests, and take the edits of their devices as far as it allows these."""
    note = decision.notes.append
    if known.settings["policy"]["rules"]:  # of most hosts there are none, and then `policy` is not even loaded
        decision.rules = policy.judged(decision.requests, container(), known.rules, note)
    decision.groups = _edits([request.name for request in decision.requests], known)
    if any(rule["limits"] for rule in decision.rules.values()):
        files = {name: found[0] for name in decision.rules if (found := known.find(name))}
        decision.groups = policy.limited(decision.groups, files, decision.rules, note)
    foreign = known.settings.get("foreign")
    if foreign:
        used = {"", *(whose for whose, _ in decision.groups)}
        for path, reason in foreign.items():
            if path in used:
                note(f"not trusted, and used all the same: {reason}")


def why_refused(config: "Mapping[str, Any]", command: str, settings: "Mapping[str, Any]") -> str:
    """Why the requests of a container are not followed, whatever they ask for; '' where they are."""
    annotations = config.get("annotations")
    if isinstance(annotations, dict) and any(annotations.get(key) == value for key, value in SANDBOX.items()):
        return "a pod's sandbox gets no devices"
    if command == "restore" and settings["restore"] == "ignore":
        return "a container that is restored gets no devices unless config.yaml says 'restore: inject'"
    return ""


def _edits(names: "Sequence[str]", known: "Known") -> "list[Group]":
    try:
        return resolve(names, known.find)
    except UnresolvableDevices as missing:
        from cdi_runc.host.missing import why_missing  # rare, and so not loaded before

        raise ShimError(why_missing(missing.names, known)) from None
