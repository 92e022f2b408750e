"""What `doctor` says of users who could get devices or root's rights although they should not."""

from __future__ import annotations

import functools
import os
import stat
from collections.abc import Iterator

import cdi_runc
from cdi_runc.ctl.why.host import Host
from cdi_runc.ctl.why.result import Level, Result
from cdi_runc.engines import NAMES, images, launcher
from cdi_runc.engines import engine as engine_of
from cdi_runc.engines.engine import EngineError
from cdi_runc.host import places, policy, snapshot, trust


def images_cannot_ask(host: Host) -> Iterator[Result]:
    """Only users ask for devices: no engine that knows cdi-runc hands the annotations of images on to it."""
    requests = host.settings["requests"]
    for name in NAMES:
        if not requests["annotations"] or not images.hands_on(name):
            continue
        module = engine_of(name)
        try:
            found = module.find(None)
            asks = images.can_ask(found, requests)
            ours = asks and any(
                launcher.is_ours(str(each["path"])) for each in module.runtimes(found).handlers.values()
            )
        except EngineError:
            continue  # which another check says, where it matters
        if ours:
            yield Result("warning", "engines", images.warning(found), images.remedy(host.options.config_path))


def policy_usable(host: Host) -> Iterator[Result]:
    """The policy can be read, or else no container gets a device; and each of its rules can decide."""
    path = policy.path_beside(host.options.config_path)
    found = policy.read(path)
    if found["fault"] and not trust.why_not(path):  # which the next check says
        yield Result("problem", "policy", found["fault"], f"edit {path} (cdictl policy check)")
    for line in policy.idle_rules(found["rules"]):
        yield Result("warning", "policy", line, f"edit {path}")


def files_protected(host: Host) -> Iterator[Result]:
    """Only root may write what root executes or believes."""
    level: Level = "problem" if host.settings["trust"] == "strict" else "warning"
    config = host.options.config_path
    of_policy = trust.why_not(policy.path_beside(config))
    others = map(trust.why_not, (config, os.path.dirname(config), *_programs(host)))
    reasons = dict.fromkeys(filter(None, (of_policy, *others, *_of_specs(host))))
    for reason in reasons:
        text, _, mend = reason.removesuffix(")").rpartition(" (")
        fix = None
        if mend.startswith("chmod"):
            fix = functools.partial(_take_writing_away, mend.removeprefix("chmod go-w "))
        if reason == of_policy:
            yield Result("problem", "trust", f"{text}, so no container gets a device", mend, fix)
        else:
            yield Result(level, "trust", text, mend, fix)
    if not reasons and places.is_host_root():
        yield Result("ok", "trust", "only root may write the settings, the specs and cdi-runc's own files")


def _take_writing_away(path: str) -> None:
    os.chmod(path, stat.S_IMODE(os.stat(path).st_mode) & ~0o022)


def _of_specs(host: Host) -> list[str]:
    directories = map(os.path.normpath, host.settings["spec-dirs"])
    paths = [
        os.path.join(directory, name) for directory in directories for name in snapshot.spec_names(directory) or ()
    ]
    return [trust.why_not_spec(path) for path in paths]


def _programs(host: Host) -> Iterator[str]:
    """The launchers, ours and those that engines were told of, the library with its directories, the interpreters."""
    yield from (record["path"] for record in host.registrations if record["path"])
    try:
        path = launcher.installed("cdi-runc")
    except EngineError:
        return  # which another check says
    yield path
    yield from launcher.interpreters(path)
    library = os.path.dirname(cdi_runc.__file__)
    for directory, _, names in os.walk(library):
        yield directory
        yield from (os.path.join(directory, name) for name in names)
