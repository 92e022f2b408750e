"""RARE. Run a program and take what it prints, without the module subprocess, which is slow to start."""

import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def output_of(command: "list[str]", environ: "Mapping[bytes, bytes]") -> tuple[int, bytes]:
    """Exit status and standard output of a command, given by its path, which gets no input and whose errors are lost.

    Raises OSError where it can't be started. A status that somebody else took (SIGCHLD ignored) counts as 0.
    """
    reader, writer = posix.pipe()
    try:
        child = posix.posix_spawn(
            command[0],
            command,
            environ,
            file_actions=[
                (posix.POSIX_SPAWN_OPEN, 0, "/dev/null", posix.O_RDONLY, 0),
                (posix.POSIX_SPAWN_DUP2, writer, 1),
                (posix.POSIX_SPAWN_OPEN, 2, "/dev/null", posix.O_WRONLY, 0),
            ],
        )
    except OSError:
        posix.close(reader)
        raise
    finally:
        posix.close(writer)
    output = b""
    while chunk := posix.read(reader, 1 << 20):
        output += chunk
    posix.close(reader)
    try:
        return posix.waitstatus_to_exitcode(posix.waitpid(child, 0)[1]), output
    except ChildProcessError:
        return 0, output
