"""The device of these tests: one edit of every kind that some system takes, and what a container says of it.

Knows CDI specs and sh; knows no system.
"""

import json
from pathlib import Path
from typing import Any

BOARD = "example.com/board=one"
ODD = 'it\'s "q" $HOME 5% a:b=c,d ü\\n'
HOOKS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")

# What a container prints about itself, a `key: value` on each line.
PROBE = """
echo "node: $(stat -c '%t:%T' /dev/board 2> /dev/null)"
echo "opens: $( (: < /dev/board) 2> /dev/null && echo yes)"
echo "owner: $(stat -c '%a %g' /dev/board 2> /dev/null)"
echo "mount: $(cat '/opt/board one/data' 2> /dev/null)"
options=$(grep -o '/opt/board.040one [^ ]*' /proc/self/mountinfo | tr , '\\n' | grep -E 'ro$|nosuid|nodev')
echo "options: $(echo "$options" | sed 's/.* //' | tr '\\n' ' ')"
echo "spaced: $SPACED"
printf 'odd: %s\\n' "$ODD"
echo "groups: $(id -G)"
"""

WITH = {
    "node": "1:5",
    "opens": "yes",
    "mount": "from the host",
    "options": "ro nosuid nodev",
    "spaced": "a  b",
    "odd": ODD,
    "groups": "44",
}
APPLETS = ("cat", "env", "grep", "id", "ls", "printf", "sed", "sh", "sleep", "stat", "tr", "true")


class Board:
    """The device, whose mount and whose hooks' words are in the directory `state`."""

    def __init__(self, state: Path) -> None:
        """Make the directory."""
        self.state = state
        state.mkdir()
        state.chmod(0o777)  # some hooks are somebody else
        (state / "data").write_text("from the host\n")

    def spec(self, **changes: Any) -> str:
        """The text of the spec file. `changes` are edits in place of its own."""
        edits = {
            "env": ["SPACED=a  b", f"ODD={ODD}"],
            "deviceNodes": [{"path": "/dev/board", "hostPath": "/dev/zero", "fileMode": 0o640, "gid": 44}],
            "mounts": [
                {
                    "hostPath": str(self.state),
                    "containerPath": "/opt/board one",
                    "options": ["ro", "bind", "nosuid", "nodev"],
                }
            ],
            "additionalGids": [44],
            "hooks": [self._hook(name) for name in HOOKS],
        }
        device = {"name": "one", "containerEdits": edits | changes}
        return json.dumps({"cdiVersion": "0.7.0", "kind": "example.com/board", "devices": [device]})

    def states(self) -> dict[str, Any]:
        """The state that each hook got, by the hook's name."""
        return {name: json.loads(path.read_text()) for name in HOOKS if (path := self.state / name).exists()}

    def forget(self) -> None:
        """Forget what the hooks were given."""
        for path in self.state.iterdir():
            if path.name != "data":
                path.unlink()

    def _hook(self, name: str) -> dict[str, Any]:
        # startContainer runs in the container, which has a place of its own for it.
        place = "/tmp" if name == "startContainer" else self.state
        script = f"cat > '{place}/.{name}' && mv '{place}/.{name}' '{place}/{name}'"
        return {"hookName": name, "path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/bin:/usr/bin"]}


def report(output: str) -> dict[str, str]:
    """What PROBE printed, by key."""
    return {key: value.strip() for key, _, value in (line.partition(": ") for line in output.splitlines()) if key}
