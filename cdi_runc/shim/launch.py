"""HOT. How the shim was called: what launcher.sh hands over, and our own options, which are before all others."""

import posix

from cdi_runc import __version__
from cdi_runc.shim.cmdline import RUNTIMES
from cdi_runc.shim.errors import ShimError


class Launch:
    """One call of the shim.

    hook: what `--cdi-hook` says, '' where an engine calls us as its runtime.
    args: the words for the runtime. name: the runtime that we wrap (`runc` if we are called `cdi-runc`). runtime,
    config: what `--cdi-runtime` and `--cdi-config` say, or ''. environ: the caller's, by bytes. ignored: the mask of
    signals that the caller ignores. full_python: the interpreter that has all dependencies. default_path: where sh
    looks for programs if the caller has no PATH.
    """

    __slots__ = (
        "args",
        "config",
        "default_path",
        "environ",
        "full_python",
        "hook",
        "ignored",
        "name",
        "runtime",
        "self_path",
    )

    def __init__(self, argv: list[str]) -> None:
        """Take the command line of boot.py."""
        (
            _,
            self.full_python,
            self.self_path,
            lc_all,
            self.default_path,
            stat,
            self.runtime,
            self.config,
            *self.args,
        ) = argv
        self.hook = ""
        self.name = self.self_path.rpartition("/")[2].removeprefix("cdi-")
        # The launcher set LC_ALL; it gives the caller's as '=value', or '' where there was none.
        self.environ: dict[bytes, bytes] = dict(posix.environ)
        self.environ.pop(b"LC_ALL", None)
        if lc_all:
            self.environ[b"LC_ALL"] = lc_all[1:].encode("utf-8", "surrogateescape")
        # proc_pid_stat(5), before Python ignored signals of its own; the 33rd field is the mask.
        self.ignored = int((stat.rpartition(")")[2].split()[33 - 3 :] or "0")[0])

    def take_own_options(self) -> str:
        """Take our options off `args`; what is to be printed instead of running anything, or ''. Raises ShimError."""
        while self.args and self.args[0].startswith("--cdi-"):
            option, _, value = self.args.pop(0).partition("=")
            if option == "--cdi-version":
                return f"cdi-runc {__version__}"
            if value and option == "--cdi-hook":
                self.hook = value
                continue
            if not value or option not in ("--cdi-runtime", "--cdi-config"):
                raise ShimError(
                    f"{option}: unknown option; expected --cdi-runtime=PATH, --cdi-config=FILE or --cdi-version"
                )
            if option == "--cdi-runtime":
                self.runtime = value
            else:
                self.config = value if value.startswith("/") else _from_here(value)
        return ""

    def dialect(self, runtime: str) -> str:
        """By whose rules a command line for the runtime at this path is read: its own, where its name is known."""
        base = runtime.rpartition("/")[2]
        return base if base.partition("-")[0] in RUNTIMES else self.name


def _from_here(path: str) -> str:
    """The absolute path. Raises ShimError where the working directory was removed."""
    try:
        return f"{posix.getcwd()}/{path}"
    except OSError as error:
        raise ShimError(
            f"--cdi-config={path}: there is no working directory ({error.strerror}): give an absolute path"
        ) from None
