"""HOT. Which command a runtime's arguments give, for which bundle, and where the runtime's log goes.

Reads a line as the wrapped runtime does, so that a container named `create` or a root directory named `run` is no
problem. Knows nothing of files, CDI or the config; never changes a line, never raises.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

# What an option means to us; any other meaning is the name of the field of Call that takes the option's value.
FLAG, VALUE, HELP, UNKNOWN = "flag", "value", "help", "unknown"

# The library that a runtime reads its options with decides what may be glued, shortened or moved.
GO = "go"  # `-bundle V` is `--bundle V`, a flag takes `=false`, options may follow the ID
ARGP = "argp"  # GNU: `-bDIR`, `-db DIR`, `--bund DIR`; the first word that is no option ends the options
CLAP = "clap"  # Rust: `-bDIR`, `-b=DIR`, options may follow the ID, and the bundle is given once


def _table(**options: str) -> dict[str, str]:
    """Meanings by option, from the options of each meaning."""
    return {option: meaning for meaning, names in options.items() for option in names.split()}


Tables = tuple[str, dict[str, str], dict[str, dict[str, str]]]


# Each gives the library, the options before the command, and those after each command that starts a container. They are
# functions so that a call pays for the tables of one runtime alone.
def _runc() -> Tables:
    """1.1 to main. What only some of them have (`--criu` to 1.3, `--pidfd-socket` from 1.2) the others refuse."""
    before = _table(
        log="log",
        log_format="log-format",
        value="root rootless criu",
        flag="debug systemd-cgroup",
        help="help h version v",
    )
    # main takes the global options after the command too. 1.x refuses such a line, so main's reading does for both.
    create = before | _table(
        bundle="bundle b",
        value="console-socket pidfd-socket pid-file preserve-fds",
        flag="no-pivot no-new-keyring",
    )
    run = create | _table(flag="detach d keep no-subreaper")
    restore = before | _table(
        bundle="bundle b",
        value="console-socket image-path work-path manage-cgroups-mode pid-file empty-ns lsm-profile lsm-mount-context",
        flag="tcp-established ext-unix-sk shell-job file-locks detach d no-subreaper no-pivot auto-dedup lazy-pages",
    )
    return GO, before, {"create": create, "run": run, "restore": restore}


def _crun() -> Tables:
    """1.8 to main. If a prefix fits several options, the first is taken. So newer options are last."""
    before = _table(
        log="log",
        log_format="log-format",
        value="root rootless cgroup-manager log-level",
        flag="debug systemd-cgroup",
        help="help ? usage version v V",
    )
    create = _table(
        bundle="bundle b",
        config="config f",
        value="console-socket preserve-fds pid-file",
        flag="no-pivot no-subreaper no-new-keyring",
        help="help ? usage version V",
    )
    run = create | _table(flag="detach d keep")
    restore = _table(
        bundle="bundle b",
        value="console-socket image-path work-path manage-cgroups-mode pid-file network-lock lsm-profile"
        " lsm-mount-context",
        flag="tcp-established tcp-close ext-unix-sk shell-job file-locks detach d",
        help="help ? usage version V",
    )
    return ARGP, before, {"create": create, "run": run, "restore": restore}


def _youki() -> Tables:
    before = _table(
        log="log l",
        log_format="log-format",
        value="log-level root r",
        flag="debug systemd-cgroup s systemd-log",
        help="help h version v",
    )
    create = _table(
        bundle="bundle b",
        value="console-socket c pid-file p preserve-fds",
        flag="no-pivot no-new-keyring",
        help="help h",
    )
    return CLAP, before, {"create": create, "run": create | _table(flag="no-subreaper keep detach d")}


RUNTIMES = {"runc": _runc, "crun": _crun, "krun": _crun, "youki": _youki}

# All their commands. After an unknown option only such a word is sure to be the command and not the option's value.
COMMANDS = _table(
    command="checkpoint completion create delete events exec features help info init kill list mounts pause ps restore"
    " resume run spec start state update"
)

# What a flag may be set to. Go's strconv.ParseBool, and the empty word that runc main takes; the others take nothing.
SWITCHES: dict[str, dict[str | None, bool]] = {
    GO: dict.fromkeys((None, "", "1", "t", "T", "true", "TRUE", "True"), True)
    | dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False),
    ARGP: {None: True},
    CLAP: {None: True},
}


class Call:
    """What a command line asks of the runtime.

    command: the runtime's command, or None where nothing comes of the line (no command, `--help`, a wrong option)
    bundle: the bundle as it was given; None is the working directory
    container: the id of the container that a command starts
    config: the file that a command which starts a container will read, as seen from the caller's directory; else None
    log, log_format: the values of `--log` and `--log-format` as they were given, so crun's log may be `journald:ID`;
        known for every command, and where the command is None
    """

    __slots__ = ("bundle", "command", "config", "container", "log", "log_format")

    def __init__(self) -> None:
        self.command: str | None = None
        self.bundle: str | None = None
        self.config: str | None = None
        self.container: str | None = None
        self.log: str | None = None
        self.log_format: str | None = None


class _NothingStarts(Exception):
    """The runtime will print its help or refuse the line."""


def parse(args: list[str], runtime: str) -> Call:
    """Read ARGS, the words after the program's name, as the runtime called RUNTIME does; those unknown as runc.

    Whatever the runtime would start is found, with the bundle that it would start it from. Not all that it would refuse
    is: an option that we don't know may be a newer one, and the runtime says itself what it refuses. So too where a
    runtime's versions differ: the line is read as by the one that accepts it.

    >>> call = parse(["--root", "run", "create", "-b", "/b", "id"], "runc")
    >>> call.command, call.bundle, call.config
    ('create', '/b', '/b/config.json')
    >>> parse(["create", "--help"], "runc").command is None
    True
    """
    style, options, starts = RUNTIMES.get(runtime.partition("-")[0], _runc)()  # crun-wasm is crun by another name
    call = Call()
    words = iter(args)
    try:
        call.command = _find_command(words, options, style, call)
        if call.command in starts:
            _read_operands(words, starts[call.command], style, call)
            _find_config(style, call)
    except _NothingStarts:
        call.command = call.bundle = call.config = None
    return call


def _find_command(words: "Iterator[str]", options: dict[str, str], style: str, call: Call) -> str | None:
    """Read WORDS up to the command and return it."""
    perhaps_value = False
    for word in words:
        if word == "--":
            return next(words, None)
        if word.startswith("-") and word != "-":
            perhaps_value = _read_option(word, words, options, style, call)
        elif perhaps_value and word not in COMMANDS:
            perhaps_value = False
        else:
            return word
    return None


def _read_operands(words: "Iterator[str]", options: dict[str, str], style: str, call: Call) -> None:
    """Read WORDS after the command: options, and the container's ID, which must be there and alone.

    But for crun's restore, which takes another word.
    """
    operands: list[str] = []
    unknown = 0
    for word in words:
        if word == "--":
            operands += words
        elif word.startswith("-") and word != "-":
            unknown += _read_option(word, words, options, style, call)
        else:
            operands.append(word)
            if style == ARGP:
                operands += words
    most = 2 if style == ARGP and call.command == "restore" else 1
    if not 1 <= len(operands) <= most + unknown:  # any of them may be the value of an option newer than our tables
        raise _NothingStarts
    call.container = operands[0 if most == 2 else -1]


def _read_option(word: str, words: "Iterator[str]", options: dict[str, str], style: str, call: Call) -> bool:
    """Read the option WORD, taking its value from WORDS if need be; tell whether the next word may be an unknown's."""
    meaning, value = _split_option(word, options, style)
    if meaning == UNKNOWN:
        return value is None
    if meaning in (FLAG, HELP):
        on = SWITCHES[style].get(value)
        if on is None or (on and meaning == HELP):
            raise _NothingStarts
        return False
    if value is None:
        value = next(words, None)
        if value is None:
            raise _NothingStarts
    if meaning != VALUE:
        if style == CLAP and meaning == "bundle" and call.bundle is not None:
            raise _NothingStarts
        setattr(call, meaning, value)
    return False


def _split_option(word: str, options: dict[str, str], style: str) -> tuple[str, str | None]:
    """What the option WORD means, and the value in the same word, if any."""
    if style == GO or word.startswith("--"):
        name, equals, value = word[2 if word.startswith("--") else 1 :].partition("=")
        if style == ARGP and name not in options:
            # Where several fit, crun refuses; but older ones have fewer options, so that one of ours may be enough.
            name = next((option for option in options if option.startswith(name)), name)
        return options.get(name, UNKNOWN), value if equals else None
    for end, letter in enumerate(word[1:], start=2):
        meaning = options.get(letter, UNKNOWN)
        if meaning != FLAG:
            glued = word[end:].removeprefix("=") if style == CLAP else word[end:]
            return meaning, glued or None
    return FLAG, None


def _find_config(style: str, call: Call) -> None:
    """Fill in the config file that goes with the bundle."""
    if call.bundle == "" and style == GO:
        call.bundle = None
    if call.bundle == "" or call.config == "":
        raise _NothingStarts
    # crun's --config is a path from the caller's directory, except for the very word that is its default.
    if call.config is None or call.config == "config.json":
        call.config = "config.json" if call.bundle is None else f"{call.bundle}/config.json"
