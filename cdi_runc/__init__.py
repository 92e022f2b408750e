"""The Container Device Interface (CDI) for Python programs.

Names are loaded when they are first used (PEP 562): the package is also the shim's, which runs at every container
create and pays for each import. So nothing is imported here; `_HOME` says where each name is.

    >>> import cdi_runc as cdi
    >>> cdi.parse_qualified_name("vendor.com/gpu=0")
    ('vendor.com', 'gpu', '0')
"""

__version__ = "0.1.0"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cdi_runc.cdi.annotations import (
        ANNOTATION_PREFIX,
        annotation_key,
        annotation_value,
        parse_annotations,
        update_annotations,
    )
    from cdi_runc.cdi.errors import (
        CDIError,
        InjectionError,
        InvalidName,
        InvalidSpec,
        Problem,
        UnresolvableDevices,
    )
    from cdi_runc.cdi.names import is_qualified_name, parse_qualified_name, qualified_name
    from cdi_runc.cdi.registry import DEFAULT_SPEC_DIRS, Device, Registry
    from cdi_runc.cdi.schema import schema
    from cdi_runc.cdi.spec import load_spec, parse_spec, validate_spec
    from cdi_runc.cdi.versions import CURRENT_VERSION, KNOWN_VERSIONS, minimum_required_version
    from cdi_runc.cdi.writing import spec_file_name, write_spec

__all__ = [
    "ANNOTATION_PREFIX",
    "CURRENT_VERSION",
    "DEFAULT_SPEC_DIRS",
    "KNOWN_VERSIONS",
    "CDIError",
    "Device",
    "InjectionError",
    "InvalidName",
    "InvalidSpec",
    "Problem",
    "Registry",
    "UnresolvableDevices",
    "annotation_key",
    "annotation_value",
    "is_qualified_name",
    "load_spec",
    "minimum_required_version",
    "parse_annotations",
    "parse_qualified_name",
    "parse_spec",
    "qualified_name",
    "schema",
    "spec_file_name",
    "update_annotations",
    "validate_spec",
    "write_spec",
]

_HOME = {
    "annotations": (
        "ANNOTATION_PREFIX",
        "annotation_key",
        "annotation_value",
        "parse_annotations",
        "update_annotations",
    ),
    "errors": ("CDIError", "InjectionError", "InvalidName", "InvalidSpec", "Problem", "UnresolvableDevices"),
    "names": ("is_qualified_name", "parse_qualified_name", "qualified_name"),
    "registry": ("DEFAULT_SPEC_DIRS", "Device", "Registry"),
    "schema": ("schema",),
    "spec": ("load_spec", "parse_spec", "validate_spec"),
    "versions": ("CURRENT_VERSION", "KNOWN_VERSIONS", "minimum_required_version"),
    "writing": ("spec_file_name", "write_spec"),
}


def __getattr__(name: str) -> object:
    for home, names in _HOME.items():
        if name in names:
            import importlib

            value: object = getattr(importlib.import_module(f"cdi_runc.cdi.{home}"), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
