"""containerd's config files: their schemas, their imports, and why containerd may not find a handler in them."""

from __future__ import annotations

import fnmatch
import glob
import os
from collections.abc import Iterator, Mapping

from cdi_runc.engines import values
from cdi_runc.engines.engine import EngineError, Found, release

MERGES_SINCE = (2,)  # the first release that merges imported files with the file itself

# What the CRI plugin is called in `disabled_plugins`, by schema; and where its settings are.
_CRI_NAMES = ("cri", "io.containerd.grpc.v1.cri", "io.containerd.cri.v1.runtime", "io.containerd.cri.v1.images")


def plugin(settings: Mapping[str, object]) -> tuple[str, ...]:
    """The keys of the CRI plugin's section, by the schema of a file."""
    schema = settings.get("version", 1)
    if isinstance(schema, int) and schema >= 3:
        return "plugins", "io.containerd.cri.v1.runtime"
    return ("plugins", "io.containerd.grpc.v1.cri") if schema == 2 else ("plugins", "cri")


def is_imported(config: str, main: Mapping[str, object], path: str) -> bool:
    """Does one of the file's imports cover `path`?"""
    return any(fnmatch.fnmatch(path, pattern) for pattern in _imports(config, main))


def table(data: object, *keys: str) -> Mapping[str, object]:
    """The table at `keys`, empty where there is none."""
    for key in keys:
        data = data.get(key) if isinstance(data, Mapping) else None
    return data if isinstance(data, Mapping) else {}


def refuse_later_schema(config: str, number: str) -> None:
    """Raise EngineError for a file that is for containerd 2, where this containerd, of version `number`, is older."""
    schema = values.load("toml", config).get("version", 1)
    if isinstance(schema, int) and schema > 2 and release(number) < MERGES_SINCE:
        raise EngineError(
            f"{config} says version = {schema}, but containerd {number} reads version 2 at most: it needs a file of"
            " version 2 (containerd config default prints one)"
        )


def refuse_without_cri(found: Found) -> None:
    """Handlers belong to the CRI plugin. Docker's own package of containerd turns it off."""
    for file, settings in _files(found.config):
        disabled = settings.get("disabled_plugins")
        names = [name for name in _CRI_NAMES if isinstance(disabled, list) and name in disabled]
        if names:
            raise EngineError(
                f"{file} turns the CRI plugin off, so this containerd has no handlers. Docker and ctr need none."
                f' For Kubernetes, take "{names[0]}" out of disabled_plugins there, then repeat this'
            )


def refuse_replaced(found: Found, main: Mapping[str, object]) -> None:
    """containerd 1.x takes a plugin's section whole from the last file that has one."""
    for file, settings in _files(found.config):
        if file != found.config and table(settings, *plugin(settings)):
            header = ".".join(f'"{key}"' if "." in key else key for key in plugin(main))
            raise EngineError(
                f"{file}, which {found.config} imports, also has a section [{header}], and containerd {found.version}"
                f" takes that section from one file only: move it from there into {found.config}, then repeat this"
            )


def _files(config: str) -> Iterator[tuple[str, Mapping[str, object]]]:
    """The file and those that it imports, each with what it says."""
    waiting, seen = [config], set()
    while waiting:
        file = waiting.pop(0)
        if file in seen:
            continue
        seen.add(file)
        settings = values.load("toml", file)
        yield file, settings
        for pattern in _imports(file, settings):
            waiting += sorted(glob.glob(pattern))


def _imports(file: str, settings: Mapping[str, object]) -> list[str]:
    """The patterns of the files that this one imports, relative ones from its own folder."""
    imports = settings.get("imports")
    return [os.path.join(os.path.dirname(file), str(each)) for each in imports] if isinstance(imports, list) else []
