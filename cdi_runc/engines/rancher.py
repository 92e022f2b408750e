"""k3s and RKE2: a block at the end of the Go template from which they write their containerd's config.

They write that config again at each start, so only a template beside it lasts. Since September 2023 a template may
begin with `{{ template "base" . }}`: that is all that they would write without it. The block takes the options of the
runtime that it wraps from the config that they wrote last. They still choose its SystemdCgroup.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cdi_runc.engines import containerd, edit_toml, journal, monitors
from cdi_runc.engines.ask import ask, binary, version
from cdi_runc.engines.containerd_files import plugin
from cdi_runc.engines.engine import (
    CRI_REQUEST,
    EngineError,
    FilePlan,
    Found,
    Native,
    NewRuntime,
    Put,
    Runtimes,
    Value,
    pod_request,
)

_NATIVE = Native(request=CRI_REQUEST, since="")
_BASE = '{{ template "base" . }}\n'


@dataclass(frozen=True)
class Rancher:
    """One of the two; they differ in their name and folder alone."""

    name: str
    folder: str
    units: tuple[str, str]  # of a server, of an agent
    TO_FORGET: tuple[Put, ...] = ()
    NATIVE: Native = _NATIVE

    def find(self, config: str | None) -> Found:
        """The distribution on this host; `config` is the template if it isn't where it usually is."""
        path = binary(self.name, self.name)
        number = version(ask([path, "--version"]))
        running = os.path.exists(f"/run/{'k3s' if self.name == 'k3s' else 'rke2'}")
        return Found(self.name, path, number, config or self._template(), running, "on", config is not None)

    def runtimes(self, found: Found) -> Runtimes:
        """The handlers of the generated config, and those of the template, which will be in the next one."""
        generated = os.path.join(os.path.dirname(found.config), "config.toml")
        text = journal.read(generated)
        if text is None:
            raise EngineError(f"{generated} does not exist yet: start {self.name} once, it is written then")
        settings = edit_toml.parse(text)
        for key in (*_section(settings), "containerd"):
            inner = settings.get(key)
            settings = inner if isinstance(inner, dict) else {}
        tables = settings.get("runtimes")
        handlers: dict[str, Mapping[str, object]] = {}
        for name, table in tables.items() if isinstance(tables, Mapping) else ():
            options = table.get("options", {})
            handlers[name] = {"path": options.get("BinaryName") or "runc", **table}
        handlers.update(_handlers_of_template(journal.read(found.config) or ""))
        return Runtimes(str(settings.get("default_runtime_name") or "runc"), handlers)

    def plan(self, found: Found, new: NewRuntime, known: Runtimes) -> list[FilePlan]:
        """The handler as a block at the end of the template."""
        if new.default or new.drop_in:
            raise EngineError(
                f"{self.name} takes its default runtime from its own config: leave --drop-in and --set-as-default out,"
                f" and write default-runtime: {new.name} into /etc/rancher/{self.name}/config.yaml"
            )
        template = journal.read(found.config)
        generated = edit_toml.parse(journal.read(os.path.join(os.path.dirname(found.config), "config.toml")) or "")
        section = f'plugins."{_section(generated)[1]}".containerd.runtimes."{new.name}"'
        table = containerd.handler(known, new)
        options = table.pop("options")
        block = f"\n[{section}]\n{_lines(table)}\n[{section}.options]\n{_lines(options)}"
        block += "  SystemdCgroup = {{ .SystemdCgroup }}\n"
        start = _BASE if template is None else ""
        return [FilePlan(found.config, "text", (Put((), block),), start)]

    def live(self, found: Found) -> Runtimes | None:
        """It can't be asked."""
        return None

    def reload(self, found: Found, runtime: str | None) -> None:
        """Both write the config and start their containerd only when they start themselves."""
        unit = next(filter(_is_active, self.units), None)
        if found.explicit or not unit:
            raise EngineError(f"no systemd unit runs this {self.name}: restart it yourself, and leave --restart out")
        ask(["systemctl", "restart", unit], timeout=300)

    def reload_command(self, found: Found, gone: bool) -> str:
        """Servers and agents have units of different names."""
        return f"systemctl restart {self.units[0]} (on an agent {self.units[1]}), or --restart" if found.running else ""

    def advice(self, found: Found, new: NewRuntime) -> list[str]:
        """How to ask for a device."""
        return [pod_request(new.name)]

    def owns_monitor(self, command: Sequence[str]) -> bool:
        """containerd's shim, connected to the distribution's own socket."""
        return "/k3s/" in (monitors.option(command, "-address") or "")

    def pods_of(self, found: Found, runtime: str) -> list[str]:
        """Nothing."""
        return []

    def takes_annotations(self, found: Found) -> bool:
        """Pods have them."""
        return True

    def _template(self) -> str:
        """containerd 2's config has its own template; which one is in use shows in the config they wrote."""
        text = journal.read(os.path.join(self.folder, "config.toml")) or ""
        schema = edit_toml.parse(text).get("version", 2)
        name = "config-v3.toml.tmpl" if isinstance(schema, int) and schema >= 3 else "config.toml.tmpl"
        return os.path.join(self.folder, name)


K3S = Rancher("k3s", "/var/lib/rancher/k3s/agent/etc/containerd", ("k3s", "k3s-agent"))
RKE2 = Rancher("rke2", "/var/lib/rancher/rke2/agent/etc/containerd", ("rke2-server", "rke2-agent"))


def _is_active(unit: str) -> bool:
    try:
        ask(["systemctl", "is-active", unit])
    except EngineError:
        return False
    return True


def _section(settings: Mapping[str, object]) -> tuple[str, ...]:
    """Both have never written a file of schema 1."""
    return plugin({"version": 2, **settings})


def _lines(values: Value) -> str:
    """Plain values as TOML; JSON's strings, numbers and lists are also TOML's."""
    if not isinstance(values, Mapping):
        return ""
    return "".join(f"  {key} = {json.dumps(value)}\n" for key, value in values.items() if key != "SystemdCgroup")


def _handlers_of_template(text: str) -> dict[str, Mapping[str, object]]:
    """The handlers at the end of a template, as far as they are plain TOML."""
    handlers: dict[str, Mapping[str, object]] = {}
    name = ""
    for line in text.splitlines():
        header = line.strip()
        if header.startswith("[") and ".runtimes." in header:
            name = header.rpartition(".runtimes.")[2].rstrip("]").removesuffix(".options").strip('"')
        elif "BinaryName" in header and "=" in header and name:
            handlers[name] = {"path": header.partition("=")[2].strip().strip('"')}
    return handlers
