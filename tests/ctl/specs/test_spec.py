import io
import json
import os
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

import cdi_runc as cdi
from cdi_runc.ctl import main
from cdi_runc.ctl.specs.patch import patched
from cdi_runc.ctl.specs.specfile import SpecFile, spec_text
from tests.ctl.conftest import Cdictl

# Comments, quotes, an odd indentation, octal numbers, bare and quoted booleans: all that an edit must leave alone.
LIVED_IN = """\
# Made by hand on a Friday
cdiVersion: "0.5.0"  # enough for us
kind: 'vendor.com/gpu'
containerEdits: {env: [VENDOR=yes]}
devices:
# the first
- name: "0"
  containerEdits:
    deviceNodes:
    - {path: /dev/gpu0, hostPath: /dev/null, fileMode: 0660, permissions: rw}   # as the driver makes it
    env: [ON=1, 'Y=yes']
- name: one
  containerEdits:
    env:
    - A=1
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "gpu.yaml"
    file.write_text(LIVED_IN)
    return file


def changed(path: Path) -> tuple[list[str], list[str]]:
    """The lines that are gone from LIVED_IN, and the new ones."""
    before, after = LIVED_IN.splitlines(), path.read_text().splitlines()
    return [line for line in before if line not in after], [line for line in after if line not in before]


@pytest.mark.parametrize(
    ("args", "gone", "new"),
    [
        (
            ["set", "--env", "VENDOR=no"],
            ["containerEdits: {env: [VENDOR=yes]}"],
            ["containerEdits: {env: [VENDOR=no]}"],
        ),
        (["set", "--device", "one", "--env", "B=a b"], [], ['    - "B=a b"']),
        (["set", "--device", "vendor.com/gpu=one", "--env", "A=2"], ["    - A=1"], ["    - A=2"]),
        (["set", "--kind", "vendor.com/tpu"], ["kind: 'vendor.com/gpu'"], ["kind: 'vendor.com/tpu'"]),
        (
            ["set", "--device", "one", "--gid", "44"],
            ['cdiVersion: "0.5.0"  # enough for us'],
            ['cdiVersion: "0.7.0"  # enough for us', "    additionalGids:", "    - 44"],
        ),
        (
            ["add-device", "yes", "--node", "/dev/null:/dev/gpu1:rw"],
            [],
            ['- name: "yes"', "    - path: /dev/gpu1", "      hostPath: /dev/null", "      permissions: rw"],
        ),
        (["remove-device", "one"], ["- name: one", "    env:", "    - A=1"], []),
        (["upgrade"], ['cdiVersion: "0.5.0"  # enough for us'], ['cdiVersion: "1.1.0"  # enough for us']),
        (["upgrade", "--to", "0.4.0"], [], []),
        (["minimise"], [], []),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) and len(value) < 6 else "",
)
def test_an_edit_changes_its_own_lines_only(
    cdictl: Cdictl, path: Path, args: list[str], gone: list[str], new: list[str]
) -> None:
    command, *options = args
    result = cdictl("spec", command, path, *options)
    assert (result.exit_code, result.stderr) == (0, "")
    assert changed(path) == (gone, new)


def test_a_dry_run_shows_a_diff_and_changes_nothing(cdictl: Cdictl, path: Path) -> None:
    lines = cdictl("spec", "set", path, "--env", "VENDOR=no", "--dry-run").stdout.splitlines()
    assert [line for line in lines if line.startswith(("-", "+"))][2:] == [
        "-containerEdits: {env: [VENDOR=yes]}",
        "+containerEdits: {env: [VENDOR=no]}",
    ]
    assert path.read_text() == LIVED_IN


@pytest.mark.parametrize(
    ("args", "complaint"),
    [
        (["add-device", "one", "--env", "A=1"], "there is a device one already: cdictl spec set --device one"),
        (["set", "--device", "two", "--env", "A=1"], "there is no device two; there are 0, one"),
        (["remove-device", "two"], "there is no device two; there are 0, one"),
        (["downgrade", "--to", "0.4.0"], "devices[0].containerEdits.deviceNodes[0].hostPath needs 0.5.0"),
        (["set", "--field", "env[0]=NOVALUE"], "containerEdits.env[0]: is 'NOVALUE', not NAME=VALUE"),
        (["set", "--device", "one", "--remove", "env"], "one would have no edits, and other engines refuse a file"),
        (["set", "--kind", "gpu"], "kind: 'gpu' is not of the form vendor.com/class"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_would_be_no_spec_is_not_written(cdictl: Cdictl, path: Path, args: list[str], complaint: str) -> None:
    command, *options = args
    result = cdictl("spec", command, path, *options)
    assert result.exit_code == 1
    assert complaint in result.stderr
    assert result.stderr.count("\n") == 1
    assert path.read_text() == LIVED_IN


def test_the_only_device_stays(cdictl: Cdictl, path: Path) -> None:
    cdictl("spec", "remove-device", path, "one")
    result = cdictl("spec", "remove-device", path, "0")
    assert result.stderr.endswith("0 is the only device, and a spec must have one: remove the file\n")


def test_what_cannot_be_changed_in_places_is_left_alone(cdictl: Cdictl, path: Path) -> None:
    text = "cdiVersion: 0.6.0\nkind: v.com/x\ndevices: [{name: a, containerEdits: {<<: {env: [A=1]}}}]\n"
    path.write_text(text)
    result = cdictl("spec", "set", path, "--device", "a", "--env", "B=1")
    assert result.stderr == (
        f"cdictl: {path}: is YAML that can't be changed without losing what is in it; "
        "cdictl spec convert writes it anew\n"
    )
    assert path.read_text() == text


def test_an_alias_carries_no_edit_elsewhere(cdictl: Cdictl, path: Path) -> None:
    shared = "containerEdits: &e {env: [A=1]}\ndevices: [{name: a, containerEdits: *e}]\n"
    path.write_text(f"cdiVersion: 0.6.0\nkind: v.com/x\n{shared}")
    assert cdictl("spec", "set", path, "--device", "a", "--env", "B=1").exit_code == 0
    assert path.read_text().endswith(shared.replace("*e", "{env: [A=1, B=1]}"))
    assert cdictl("spec", "set", path, "--env", "B=1").exit_code == 0
    assert "&e {env: [A=1, B=1]}" in path.read_text()


# What the reader takes, and the editor has to take as well.
@pytest.mark.parametrize(
    ("text", "args", "line"),
    [
        ('devices:\n- name: "0"\n  containerEdits:\n', ["--device", "0", "--env", "A=1"], "    - A=1"),
        ("devices:\n- {name: a, containerEdits: {mounts: }}\n", ["--device", "a", "--mount", "/usr:/opt/u"], ""),
        (
            "devices:\n- name: a\n  containerEdits:\n    mounts:   # none yet\n    env: [A=1]\n",
            ["--device", "a", "--mount", "/usr:/opt/u"],
            "    - hostPath: /usr",
        ),
        ("containerEdits:\ndevices: [{name: a, containerEdits: {env: [A=1]}}]\n", ["--env", "B=1"], "    - B=1"),
        ("Devices: [{NAME: a, containeredits: {ENV: [A=1]}}]\n", ["--device", "a", "--env", "B=1"], ""),
        ("devices: [{name: 010, containerEdits: {env: [A=1]}}]\n", ["--device", "8", "--env", "B=1"], ""),
        ("devices: [{name: y, containerEdits: {env: [A=1]}}]\n", ["--device", "true", "--env", "B=1"], ""),
        ("devices: [{name: a, containerEdits: {env: [A=1]}}]\n---\n}{\n", ["--env", "B=1"], "}{"),
    ],
)
def test_an_edit_sees_the_file_as_the_reader_does(
    cdictl: Cdictl, path: Path, text: str, args: list[str], line: str
) -> None:
    path.write_text(f"CDIVersion: 0.5.0\nKind: v.com/x\n{text}")
    before = cdi.load_spec(path) if "name: a\n" not in text and '"0"' not in text else None
    result = cdictl("spec", "set", path, *args)
    assert (result.exit_code, result.stderr) == (0, "")
    assert cdi.load_spec(path) != before
    assert line in path.read_text().splitlines() or not line


def test_the_version_is_changed_where_it_is(cdictl: Cdictl, path: Path) -> None:
    path.write_text('CDIVersion: "0.5.0"\nkind: v.com/x\ndevices: [{name: a, containerEdits: {env: [A=1]}}]\n')
    assert cdictl("spec", "upgrade", path, "--to", "0.6.0").exit_code == 0
    assert path.read_text().startswith('CDIVersion: "0.6.0"\nkind')


@pytest.mark.parametrize("mode", [0o600, 0o664])
def test_an_edit_keeps_the_mode(cdictl: Cdictl, path: Path, mode: int) -> None:
    path.chmod(mode)
    assert cdictl("spec", "upgrade", path).exit_code == 0
    assert path.stat().st_mode & 0o777 == mode


def test_an_edit_keeps_line_breaks_byte_order_mark_and_end(cdictl: Cdictl, path: Path) -> None:
    path.write_bytes(b"\xef\xbb\xbf" + (LIVED_IN + "...\n").replace("\n", "\r\n").encode())
    assert cdictl("spec", "set", path, "--device", "one", "--env", "B=1").exit_code == 0
    text = path.read_bytes()
    assert text.startswith(b"\xef\xbb\xbf#")
    assert text.endswith(b"    - A=1\r\n    - B=1\r\n...\r\n")
    assert text.count(b"\n") == text.count(b"\r\n")


def test_from_standard_input_to_standard_output(cdictl: Cdictl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(LIVED_IN.encode())))
    text = SpecFile("-").edited(lambda spec: spec["devices"].pop())
    assert text == LIVED_IN[: LIVED_IN.index("- name: one")]


@pytest.mark.parametrize(
    ("command", "start"),
    [
        (["set", "-", "--env", "A=1"], "# Made"),
        (["format", "-"], "# Made"),
        (["convert", "-", "--to", "json"], "{"),
        (["convert", "-", "--to", "yaml", "-f", "-"], "cdiVersion"),
    ],
)
def test_a_dash_is_standard_input(spec_dir: Path, command: list[str], start: str) -> None:
    result = CliRunner().invoke(main, ["spec", *command], input=LIVED_IN)
    assert result.exit_code == 0
    assert result.stdout.startswith(start)
    cdi.parse_spec(result.stdout)


def test_a_fault_of_a_link_elsewhere_shows_nothing_of_the_file(cdictl: Cdictl, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("daemon:*:19000\n")
    (tmp_path / "cdi/a.yaml").symlink_to(tmp_path / "secret")
    for command in (["spec", "upgrade"], ["validate"]):
        result = cdictl(*command, tmp_path / "cdi/a.yaml")
        assert result.exit_code == 1
        assert "daemon" not in result.output


def test_a_link_stays_a_link(cdictl: Cdictl, path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.yaml"
    link.symlink_to(path)
    cdictl("spec", "upgrade", link)
    assert link.is_symlink()
    assert 'cdiVersion: "1.1.0"' in path.read_text()


def test_new(cdictl: Cdictl, tmp_path: Path) -> None:
    options = [
        "--node",
        "/dev/null",
        "--mount",
        "/usr:/opt/driver",
        "--env",
        "A=1",
        "--hook",
        "createRuntime: /bin/cp a 'b c'",
    ]
    options += ["--gid", "4", "--net", "eth1:net0", "--annotation", "model=X1"]
    path = tmp_path / "new.yaml"
    assert cdictl("spec", "new", "v.com/x", "--device", "a", *options, "-f", path).exit_code == 0
    assert cdi.load_spec(path) == {
        "cdiVersion": "1.1.0",
        "kind": "v.com/x",
        "devices": [
            {
                "name": "a",
                "containerEdits": {
                    "deviceNodes": [{"path": "/dev/null"}],
                    "netDevices": [{"hostInterfaceName": "eth1", "name": "net0"}],
                    "mounts": [{"hostPath": "/usr", "containerPath": "/opt/driver", "options": ["bind", "ro"]}],
                    "env": ["A=1"],
                    "hooks": [{"hookName": "createRuntime", "path": "/bin/cp", "args": ["/bin/cp", "a", "b c"]}],
                    "additionalGids": [4],
                },
                "annotations": {"model": "X1"},
            }
        ],
    }
    again = cdictl("spec", "new", "v.com/x", "--device", "a", "--env", "A=1", "-f", path)
    assert again.stderr == f"cdictl: {path}: there is such a file already; --force replaces it\n"
    assert cdictl("spec", "new", "v.com/x", "--device", "a", "--env", "A=1", "-f", path, "--force").exit_code == 0


def test_new_to_standard_output(cdictl: Cdictl) -> None:
    result = cdictl("spec", "new", "v.com/x", "--device", "0", "--env", "on=off")
    assert cdi.parse_spec(result.stdout)["devices"][0]["name"] == "0"


def test_from_nodes(cdictl: Cdictl, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/dev/zero")
    result = cdictl("spec", "from-nodes", "--kind", "v.com/n", "--all", "/dev/null", tmp_path / "link")
    spec = cdi.parse_spec(result.stdout)
    nodes = [{"path": "/dev/null"}, {"path": f"{tmp_path}/link", "hostPath": "/dev/zero"}]
    assert {device["name"]: device["containerEdits"]["deviceNodes"] for device in spec["devices"]} == {
        "null": nodes[:1],
        "link": nodes[1:],
        "all": nodes,
    }


@pytest.mark.parametrize("node", ["/dev/none", "/etc/passwd"])
def test_from_what_is_no_node(cdictl: Cdictl, node: str) -> None:
    result = cdictl("spec", "from-nodes", "--kind", "v.com/n", node)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert node in result.stderr


@pytest.mark.parametrize("form", ["yaml", "json"])
def test_convert(cdictl: Cdictl, path: Path, tmp_path: Path, form: str) -> None:
    target = tmp_path / f"new.{form}"
    shown = cdictl("spec", "convert", path, "--to", form).stdout
    cdictl("spec", "convert", path, "--to", form, "-f", target)
    assert cdi.parse_spec(shown) == cdi.load_spec(target) == cdi.load_spec(path)
    assert shown.startswith("{") == (form == "json")
    assert cdictl("spec", "convert", path, "--to", form, "-f", tmp_path / "x.txt").exit_code == 2


def test_format(cdictl: Cdictl, path: Path) -> None:
    assert cdictl("spec", "format", "--check", path).exit_code == 1
    assert path.read_text() == LIVED_IN
    assert cdictl("spec", "format", path).stdout == f"{path}: formatted\n"
    assert cdi.load_spec(path) == cdi.parse_spec(LIVED_IN)
    assert path.read_text().count("#") == LIVED_IN.count("#")
    assert "\n  - name: one\n    containerEdits:\n      env:\n        - A=1\n" in path.read_text()
    assert cdictl("spec", "format", "--check", path).exit_code == 0


def test_json_is_edited_too(cdictl: Cdictl, spec_dir: Path) -> None:
    path = spec_dir / "gpu.json"
    cdictl("spec", "set", path, "--device", "0", "--env", "GPU0=no")
    assert json.loads(path.read_text())["devices"][0]["containerEdits"]["env"] == ["GPU0=no"]


@pytest.mark.parametrize(
    "text", ["yes", "0", "1.5", "", " ", "a: b", "#", "null", "~", "0x1", "1e3", "a\nb", "é", "=", "<<"]
)
def test_new_texts_are_quoted_where_yaml_would_take_them_for_something_else(text: str) -> None:
    base = {"cdiVersion": "1.1.0", "kind": "v.com/x", "devices": [{"name": "a", "containerEdits": {"env": ["A=1"]}}]}
    written = spec_text(base | {"annotations": {"key": text}}, "yaml")
    assert cdi.parse_spec(written)["annotations"] == {"key": text}
    for form in ("yaml", "json"):
        edited = patched(spec_text(base, form), base, base | {"annotations": {"key": text}})
        assert cdi.parse_spec(edited)["annotations"] == {"key": text}


NEW = ["spec", "new", "v.com/x", "--device", "a", "--env", "A=b c"]


@pytest.mark.parametrize("args", [NEW, ["spec", "from-nodes", "--kind", "v.com/x", "/dev/null"]])
def test_what_is_written_is_what_is_printed_and_is_formatted(cdictl: Cdictl, tmp_path: Path, args: list[str]) -> None:
    path = tmp_path / "new.yaml"
    assert cdictl(*args, "-f", path).exit_code == 0
    assert path.read_text() == cdictl(*args).stdout == cdictl(*args, "-f", "-").stdout
    assert cdictl("spec", "format", "--check", path).exit_code == 0


@pytest.mark.parametrize(
    ("file", "written"), [("", "v.com-x.yaml"), (".", "v.com-x.yaml"), ("new/", "new/v.com-x.yaml"), ("a", "a.yaml")]
)
def test_names_of_new_files(cdictl: Cdictl, tmp_path: Path, file: str, written: str) -> None:
    result = cdictl(*NEW, "-f", f"{tmp_path}/{file}")
    assert result.exit_code == 0
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.yaml")] == [written]


@pytest.mark.parametrize(
    ("args", "status", "complaint"),
    [
        ([*NEW, "-f", "npu.yml"], 2, "npu.yml: engines read only files whose names end in .yaml or .json"),
        ([*NEW, "-f", ""], 2, "--file has no value"),
        ([*NEW, "-f", "/proc/nowhere/a.yaml"], 1, "/proc/nowhere"),
        (NEW[:5], 2, "a has no edits, and engines refuse such a device"),
        ([*NEW[:5], "--node", "dev/null"], 2, "--node: 'dev/null' is not an absolute path"),
        ([*NEW[:5], "--mount", "/a:b"], 2, "--mount: 'b' is not an absolute path"),
        ([*NEW[:5], "--hook", "createRuntime: x"], 2, "--hook: 'x' is not an absolute path"),
        ([*NEW[:5], "--hook", "createRuntime: /x 'y"], 2, "no closing quotation"),
        ([*NEW[:5], "--env", "FOO"], 2, "'FOO' is not of the form KEY=VALUE"),
        ([*NEW[:5], "--field", "env"], 2, "'env' is not of the form FIELD=VALUE"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_new_specs_that_nobody_could_use(cdictl: Cdictl, args: list[str], status: int, complaint: str) -> None:
    result = cdictl(*args)
    assert (result.exit_code, result.stderr.count("\n")) == (status, 1)
    assert complaint in result.stderr


def test_a_new_spec_to_a_device(cdictl: Cdictl) -> None:
    assert cdictl(*NEW, "-f", "/dev/null").exit_code == 0
    assert not Path("/dev/null.yaml").exists()


def test_nodes_that_are_links(cdictl: Cdictl, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/dev/zero")
    result = cdictl(*NEW[:5], "--node", f"{tmp_path}/link", "--node", f"{tmp_path}/link:/dev/a:r")
    nodes = cdi.parse_spec(result.stdout)["devices"][0]["containerEdits"]["deviceNodes"]
    assert nodes == [
        {"path": f"{tmp_path}/link", "hostPath": "/dev/zero"},
        {"path": "/dev/a", "hostPath": "/dev/zero", "permissions": "r"},
    ]


def test_a_pipe_is_a_node(cdictl: Cdictl, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    result = cdictl("spec", "from-nodes", "--kind", "v.com/n", tmp_path / "pipe")
    assert cdi.parse_spec(result.stdout)["devices"][0]["name"] == "pipe"


@pytest.mark.parametrize(
    ("args", "incomplete", "words"),
    [
        (["spec", "set", "FILE", "--device"], "", ["0", "one"]),
        (["spec", "remove-device", "FILE"], "o", ["one"]),
        (["spec", "remove-device", "NONE"], "o", []),
        (["validate", "--for"], "podman@4", ["podman@4.1", "podman@4.3", "podman@4.7"]),
        (["validate", "--ignore"], "type", ["type-u"]),
        (["rules"], "not", ["not-json"]),
    ],
)
def test_completion(path: Path, args: list[str], incomplete: str, words: list[str]) -> None:
    typed = [str(path) if word == "FILE" else word for word in args]
    found = ShellComplete(main, {}, "cdictl", "_CDICTL_COMPLETE").get_completions(typed, incomplete)
    assert [each.value for each in found] == words


@pytest.mark.parametrize("args", [["spec", "set"], ["spec", "format"], ["spec", "new", "-f"], ["validate"]])
def test_files_are_completed_by_the_shell(args: list[str]) -> None:
    found = ShellComplete(main, {}, "cdictl", "_CDICTL_COMPLETE").get_completions(args, "a")
    assert [each.type for each in found] == ["file"]
