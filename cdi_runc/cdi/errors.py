"""HOT. The faults that the CDI standard knows, one exception type each, and nothing besides."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


class CDIError(ValueError):
    """Any fault that this library finds; its text is one line in the user's terms."""


class InvalidName(CDIError):
    """A vendor, class, device or qualified name, or a request made of them, that breaks the rules for names."""


class Problem:
    """One thing that is wrong in a spec.

    `field` is where in the document (`devices[0].containerEdits.mounts[1].hostPath`, empty for the document itself),
    `line` and `column` where in the text, both from 1, or None where there is no text. `message` says what was found
    and what is allowed.
    """

    __slots__ = ("column", "field", "line", "message")

    def __init__(self, field: str, message: str, line: "int | None" = None, column: "int | None" = None) -> None:
        self.field = field
        self.message = message
        self.line = line
        self.column = column

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message

    def __repr__(self) -> str:
        return f"Problem({self.field!r}, {self.message!r}, {self.line!r}, {self.column!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Problem) and repr(self) == repr(other)

    __hash__ = None  # type: ignore[assignment]  # two problems may be equal, but nobody needs a set of them


class InvalidSpec(CDIError):
    """A spec that cannot be used. `problems` holds all that is wrong with it, `path` the file, if it is one.

    >>> print(InvalidSpec([Problem("kind", "is missing", 1, 1), Problem("devices", "is missing", 1, 1)], "a.yaml"))
    a.yaml:1:1: kind: is missing (and 1 more)
    """

    def __init__(self, problems: "Iterable[Problem]", path: "str | None" = None) -> None:
        self.problems = tuple(problems)
        self.path = path
        super().__init__(self.problems, path)

    def __str__(self) -> str:
        first, *more = self.problems
        where = [self.path] if self.path else []
        if first.line is not None:
            where += [str(first.line), str(first.column)] if self.path else [f"line {first.line}"]
        place = ":".join(where)
        rest = f" (and {len(more)} more)" if more else ""
        return f"{place}: {first}{rest}" if place else f"{first}{rest}"


class UnresolvableDevices(CDIError):
    """Devices were asked for that no usable spec defines. `names` has them as asked for: in order, repeats kept."""

    def __init__(self, names: "Iterable[str]") -> None:
        self.names = tuple(names)
        super().__init__(self.names)

    def __str__(self) -> str:
        plural = "s" if len(self.names) > 1 else ""
        return f"unresolvable CDI device{plural} " + ", ".join(map(str, self.names))


class InjectionError(CDIError):
    """Container edits that cannot be made to this OCI config on this host."""
