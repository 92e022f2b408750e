"""The quoting rules that several targets share. Each writes one value as a file format or a flag expects it."""

from __future__ import annotations

import json


def fstab(path: str) -> str:
    r"""A path as a field of a line of fstab(5).

    >>> fstab("/a b")
    '/a\\040b'
    """
    return "".join(f"\\{ord(char):03o}" if char in " \t\n\r\\" else char for char in path)


def csv(field: str) -> str:
    """A field as Go's encoding/csv reads it, which Docker's, Podman's and Apptainer's `--mount` use.

    >>> csv("src=/a,b")
    '"src=/a,b"'
    """
    quoted = field.replace('"', '""')
    return f'"{quoted}"' if any(char in field for char in ',"\r\n') else field


def colons(path: str) -> str:
    r"""A path in a list that is parted by colons, as systemd and nspawn read it.

    >>> colons("/a:b")
    '/a\\:b'
    """
    return path.replace("\\", "\\\\").replace(":", "\\:")


def unit(word: str) -> str:
    r"""A word of a setting in a unit file (systemd.syntax(7), systemd.unit(5) "Specifiers").

    >>> unit('a "b" 5%')
    '"a \\"b\\" 5%%"'
    """
    escaped = word.replace("%", "%%").replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"' if not word or any(char in word for char in " \t\"'\\;#:") else word


def nspawn(word: str) -> str:
    r"""A word of a setting in a .nspawn file, in which neither backslashes nor specifiers have a meaning.

    >>> print(nspawn('a "b" 5%'))
    "a "'"'"b"'"'" 5%"
    """
    quoted = """'"'""".join(f'"{part}"' if part else "" for part in word.split('"'))
    return quoted if not word or any(char in word for char in " \t\"'") else word


def hcl(value: str) -> str:
    r"""A text in HCL, in which `${` and `%{` begin a template.

    >>> hcl('a "b" ${c}')
    '"a \\"b\\" $${c}"'
    """
    return json.dumps(value, ensure_ascii=False).replace("${", "$${").replace("%{", "%%{")


def comment(*lines: str) -> str:
    """Lines of comment, for all formats in which `#` begins one."""
    return "".join(f"# {line}\n" for line in lines)
