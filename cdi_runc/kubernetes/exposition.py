"""Figures in the text that Prometheus reads (its format 0.0.4). Knows nothing of what they mean."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

Sample = tuple[str, Mapping[str, str], float]  # name, labels, value

NO_HELP: Mapping[str, str] = {}


def text(samples: Iterable[Sample], meanings: Mapping[str, str] = NO_HELP) -> str:
    r"""The samples as Prometheus reads them, those of a name together; meanings: of the names, in one line each.

    >>> text([("cdi_devices", {"kind": "v.com/gpu"}, 2)], {"cdi_devices": "Devices."})
    '# HELP cdi_devices Devices.\n# TYPE cdi_devices gauge\ncdi_devices{kind="v.com/gpu"} 2\n'
    """
    lines: dict[str, list[str]] = {}
    for name, labels, value in samples:
        if name not in lines:
            said = [f"# HELP {name} {meanings[name]}"] if name in meanings else []
            lines[name] = [*said, f"# TYPE {name} {'counter' if name.endswith('_total') else 'gauge'}"]
        inside = ",".join(f'{key}="{_escaped(each)}"' for key, each in labels.items())
        lines[name].append(f"{name}{f'{{{inside}}}' if inside else ''} {value:.15g}")
    return "".join(f"{line}\n" for of_name in lines.values() for line in of_name)


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
