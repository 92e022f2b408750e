"""How bash completes cdictl's command lines: click's own way, but names may have `=` and `:` in them.

bash ends words at these two characters (COMP_WORDBREAKS). So the script passes the line as it is, with the part that
bash will replace, and gets only the new text for that part.
"""

from __future__ import annotations

import os

from click.shell_completion import CompletionItem, ShellComplete, add_completion_class, split_arg_string

_SCRIPT = """\
%(complete_func)s() {
    local kind value
    COMPREPLY=()
    while IFS=, read -r kind value; do
        case $kind in
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;
            plain) COMPREPLY+=("$value") ;;
            open) COMPREPLY+=("$value"); compopt -o nospace ;;
        esac
    done < <(COMP_LINE=${COMP_LINE:0:COMP_POINT} COMP_REPLACED=$2 %(complete_var)s=bash_complete "$1")
}

complete -o nosort -F %(complete_func)s %(prog_name)s
"""


class Bash(ShellComplete):
    """bash 4.4 or newer, without the package bash-completion."""

    name = "bash"
    source_template = _SCRIPT

    def get_completion_args(self) -> tuple[list[str], str]:
        """The words before the one that is being typed, without cdictl itself, and that one."""
        # The added letter keeps a blank at the end, and is inside of quotes that are still open.
        words = split_arg_string(os.environ.get("COMP_LINE", "") + "_")
        self.incomplete = words.pop()[:-1] if words else ""
        return words[1:], self.incomplete

    def format_completion(self, item: CompletionItem) -> str:
        """A line for the script: the kind of completion, and the text for the part that bash replaces."""
        replaced = os.environ.get("COMP_REPLACED", "")
        kept = self.incomplete.removesuffix(replaced) if self.incomplete.endswith(replaced) else ""
        kind = "open" if item.type == "plain" and item.value.endswith("=") else item.type
        return f"{kind},{item.value.removeprefix(kept)}"


def install() -> None:
    """Let click know of it."""
    add_completion_class(Bash)
