"""HOT. Names of devices, `vendor.com/class=name`, and the rules for its parts (CDI SPEC.md, "Kind", "CDI Devices").

Where SPEC.md and the reference implementation differ, the reference's rules are here: names are ASCII, have no limit
on length and need not be DNS names. One rule of SPEC.md is kept besides for what spec files declare: see
`validate_kind`.
"""

from cdi_runc.cdi.errors import InvalidName

_DIGITS = frozenset("0123456789")
_LETTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
_ALPHANUMERIC = _LETTERS | _DIGITS
_INNER = _ALPHANUMERIC | frozenset("_-.")


def qualified_name(vendor: str, class_: str, name: str) -> str:
    """The name by which a device is asked for. The parts are joined as they are, unchecked.

    >>> qualified_name("vendor.com", "gpu", "0")
    'vendor.com/gpu=0'
    """
    return f"{vendor}/{class_}={name}"


def parse_qualified_name(device: str) -> tuple[str, str, str]:
    """Vendor, class and name of a qualified device name. Raises InvalidName.

    >>> parse_qualified_name("vendor.com/gpu=0")
    ('vendor.com', 'gpu', '0')
    >>> parse_qualified_name("gpu=0")
    Traceback (most recent call last):
        ...
    cdi_runc.cdi.errors.InvalidName: 'gpu=0' is not a qualified device name (vendor.com/class=name): it has no vendor
    """
    kind, _, name = device.partition("=")
    vendor, _, class_ = kind.partition("/")
    try:
        for part, what in ((vendor if class_ else "", "vendor"), (class_, "class"), (name, "device name")):
            if not part:
                raise InvalidName(f"it has no {what}")
        validate_vendor(vendor)
        validate_class(class_)
        validate_device_name(name)
    except InvalidName as error:
        raise InvalidName(f"{device!r} is not a qualified device name (vendor.com/class=name): {error}") from None
    return vendor, class_, name


def is_qualified_name(device: str) -> bool:
    """Whether `parse_qualified_name` takes it.

    >>> is_qualified_name("vendor.com/gpu=0"), is_qualified_name("/dev/gpu0")
    (True, False)
    """
    try:
        parse_qualified_name(device)
    except InvalidName:
        return False
    return True


def split_kind(kind: str) -> tuple[str, str]:
    """Vendor and class of a spec's kind; the vendor is empty where the text has no two parts.

    >>> split_kind("vendor.com/gpu")
    ('vendor.com', 'gpu')
    """
    vendor, _, class_ = kind.partition("/")
    return (vendor, class_) if vendor and class_ else ("", kind)


def validate_vendor(vendor: str) -> None:
    """Raise InvalidName unless it begins with a letter, ends with a letter or digit, and has `_-.` only between."""
    _validate("vendor", vendor, _LETTERS, _INNER)


def validate_class(class_: str) -> None:
    """Raise InvalidName unless it begins with a letter, ends with a letter or digit, and has `_-.` only between."""
    _validate("class", class_, _LETTERS, _INNER)


def validate_device_name(name: str) -> None:
    """Raise InvalidName unless it begins and ends with a letter or digit, and has `_-.:` only between."""
    _validate("device name", name, _ALPHANUMERIC, _INNER | {":"})


def validate_kind(kind: str) -> None:
    """Raise InvalidName unless it is `vendor/class`, as a spec may declare it.

    Unlike in a qualified name, either part may begin with a digit: SPEC.md allows it, the reference does not.
    """
    vendor, class_ = split_kind(kind)
    if not vendor:
        raise InvalidName(f"{kind!r} is not of the form vendor.com/class")
    _validate("vendor", vendor, _ALPHANUMERIC, _INNER)
    _validate("class", class_, _ALPHANUMERIC, _INNER)


def _validate(what: str, name: str, first: frozenset[str], inner: frozenset[str]) -> None:
    if not name:
        raise InvalidName(f"the {what} is empty")
    for char in name:
        if char not in inner:
            allowed = "letters, digits and " + " ".join(sorted(inner - _ALPHANUMERIC))
            raise InvalidName(f"{char!r} in {what} {name!r} is not allowed: only ASCII {allowed}")
    if name[0] not in first:
        begin = "a letter" if first is _LETTERS else "a letter or digit"
        raise InvalidName(f"{what} {name!r} does not begin with {begin}")
    if name[-1] not in _ALPHANUMERIC:
        raise InvalidName(f"{what} {name!r} does not end with a letter or digit")
