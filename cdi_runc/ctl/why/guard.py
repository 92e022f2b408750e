"""What `doctor` says of who could get devices, or root's rights, without being meant to."""

from __future__ import annotations

from collections.abc import Iterator

from cdi_runc.ctl.why.health import Host, Result
from cdi_runc.engines import NAMES, images, launcher
from cdi_runc.engines import engine as engine_of
from cdi_runc.engines.engine import EngineError


def asking_images(host: Host) -> Iterator[Result]:
    """The engines that know cdi-runc and hand the annotations of images on to it."""
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
