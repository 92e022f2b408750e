"""What tests ask of files."""

from pathlib import Path


def write_of(path: Path) -> tuple[int, int, int]:
    """What every write of a file changes, and no reading of it, which may change the time of access."""
    found = path.stat()
    return found.st_ino, found.st_mtime_ns, found.st_ctime_ns
