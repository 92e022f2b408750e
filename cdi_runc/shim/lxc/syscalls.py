"""Two calls of the kernel that Python has no function for.

They go through `_ctypes`, which the module ctypes is made of: to import ctypes itself takes 2 ms at every start.
"""

import _ctypes
import posix
import sys

_SYS_OPENAT2 = 437  # on every machine
_RESOLVE_NO_MAGICLINKS, _RESOLVE_IN_ROOT = 0x02, 0x10


class _Long(_ctypes._SimpleCData):  # type: ignore[type-arg]  # it takes none
    _type_ = "l"


class _Function(_ctypes.CFuncPtr):
    """A function of the C library. A number is given to it as an int, bytes as a pointer to them."""

    _flags_ = _ctypes.FUNCFLAG_CDECL | _ctypes.FUNCFLAG_USE_ERRNO
    _restype_ = _Long


_libc = _ctypes.dlopen(None, 0)  # type: ignore[arg-type]  # the program itself
_syscall = _Function(_ctypes.dlsym(_libc, "syscall"))
_mount = _Function(_ctypes.dlsym(_libc, "mount"))


def open_in_root(root: int, path: str, flags: int) -> int:
    """A descriptor of what is at a path for a process whose root is the directory `root` (openat2(2)). OSError."""
    how = b"".join(
        number.to_bytes(8, sys.byteorder) for number in (flags, 0, _RESOLVE_IN_ROOT | _RESOLVE_NO_MAGICLINKS)
    )
    found: int = _syscall(_SYS_OPENAT2, root, _text(path), how, len(how))
    if found < 0:
        _raise(path)
    return found


def mount(source: str, target: str, type_: str, flags: int, data: str) -> None:
    """mount(2), which gets NULL for an empty text. Raises OSError."""
    if _mount(_text(source) or None, _text(target), _text(type_) or None, flags, _text(data) or None) & 0xFFFFFFFF:
        _raise(source)


def _text(text: str) -> bytes:
    if "\0" in text:
        raise OSError(0, "a path has no NUL")
    return text.encode("utf-8", "surrogateescape")


def _raise(path: str) -> None:
    number = _ctypes.get_errno()
    raise OSError(number, posix.strerror(number), path)
