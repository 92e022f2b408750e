"""HOT. Requests for devices in a container's annotations: keys with the prefix `cdi.k8s.io/`, device names for values.

The form is that of the reference's pkg/cdi/annotations.go; SPEC.md does not describe it.
"""

from cdi_runc.cdi.errors import CDIError, InvalidName
from cdi_runc.cdi.names import parse_qualified_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

ANNOTATION_PREFIX = "cdi.k8s.io/"

_MAX_NAME = 63  # bytes after the prefix: the limit that Kubernetes puts on the name of a key
_INNER = frozenset("_-.")


def parse_annotations(
    annotations: "Mapping[str, object]", prefixes: "Sequence[str]" = (ANNOTATION_PREFIX,)
) -> tuple[list[str], list[str]]:
    """The keys that ask for devices, sorted, and the devices in the order of these keys, repeats kept.

    Values are split at commas and nothing is trimmed. Keys are not checked beyond their prefix. Raises InvalidName for
    anything in a value that is no qualified name (an empty value too), CDIError for a value that is not text.

    >>> parse_annotations({"cdi.k8s.io/b": "v.com/nic=1", "cdi.k8s.io/a": "v.com/gpu=0,v.com/gpu=1", "other": "x"})
    (['cdi.k8s.io/a', 'cdi.k8s.io/b'], ['v.com/gpu=0', 'v.com/gpu=1', 'v.com/nic=1'])
    """
    keys = sorted(key for key in annotations if key.startswith(tuple(prefixes)))
    devices = []
    for key in keys:
        value = annotations[key]
        if not isinstance(value, str):
            raise CDIError(f"annotation {key!r} is {value!r}, not a text with device names")
        for device in value.split(","):
            try:
                parse_qualified_name(device)
            except InvalidName as error:
                raise InvalidName(f"annotation {key!r}: {error}") from None
            devices.append(device)
    return keys, devices


def annotation_key(plugin: str, device_id: str) -> str:
    """The key under which `plugin` (by convention `vendor.device-type`) asks for what it allocated as `device_id`.

    A `/` in the id becomes `_`; the name after the prefix has 63 bytes at most. Raises InvalidName.

    >>> annotation_key("vendor.gpu", "GPU/0")
    'cdi.k8s.io/vendor.gpu_GPU_0'
    """
    for part, what in ((plugin, "plugin name"), (device_id, "device id")):
        if not part:
            raise InvalidName(f"the {what} of an annotation key is empty")
    name = plugin + "_" + device_id.replace("/", "_")
    for char in name:
        if not ((char.isascii() and char.isalnum()) or char in _INNER):
            raise InvalidName(f"{char!r} in annotation name {name!r} is not allowed: only ASCII letters, digits, - . _")
    if len(name) > _MAX_NAME:
        raise InvalidName(f"annotation name {name!r} is longer than {_MAX_NAME} bytes")
    if name[0] in _INNER or name[-1] in _INNER:
        raise InvalidName(f"annotation name {name!r} does not begin and end with a letter or digit")
    return ANNOTATION_PREFIX + name


def annotation_value(devices: "Iterable[str]") -> str:
    """The value that asks for these devices. Raises InvalidName for one that is no qualified name.

    >>> annotation_value(["v.com/gpu=0", "v.com/gpu=1"])
    'v.com/gpu=0,v.com/gpu=1'
    """
    devices = list(devices)
    for device in devices:
        parse_qualified_name(device)
    return ",".join(devices)


def update_annotations(
    annotations: "Mapping[str, str] | None", plugin: str, device_id: str, devices: "Iterable[str]"
) -> dict[str, str]:
    """A copy of the annotations with a request for these devices added. Raises InvalidName.

    A key that is already there is refused, so that no plugin overwrites another's request.

    >>> update_annotations(None, "vendor.gpu", "0", ["v.com/gpu=0"])
    {'cdi.k8s.io/vendor.gpu_0': 'v.com/gpu=0'}
    """
    result = dict(annotations or {})
    key = annotation_key(plugin, device_id)
    if key in result:
        raise InvalidName(f"annotation {key!r} is already there")
    result[key] = annotation_value(devices)
    return result
