import hashlib
import io
import json
import shutil
import tarfile
from pathlib import Path

import pytest

from cdi_runc.engines.engine import EngineError
from cdi_runc.engines.trials.image import write_image
from tests.engines.conftest import Command


@pytest.mark.skipif(not shutil.which("busybox"), reason="needs busybox-static")
def test_the_image_is_a_docker_archive_with_busybox_in_it(tmp_path: Path) -> None:
    write_image(str(tmp_path / "image.tar"), "example.com/x:1")
    with tarfile.open(tmp_path / "image.tar") as archive:
        content = {name: (archive.extractfile(name) or io.BytesIO()).read() for name in archive.getnames()}
    [manifest] = json.loads(content["manifest.json"])
    assert manifest["RepoTags"] == ["example.com/x:1"]
    layer = content[manifest["Layers"][0]]
    diff_ids = json.loads(content[manifest["Config"]])["rootfs"]["diff_ids"]
    assert diff_ids == [f"sha256:{hashlib.sha256(layer).hexdigest()}"]
    with tarfile.open(fileobj=io.BytesIO(layer)) as files:
        assert files.getmember("bin/busybox").mode == 0o755
        assert files.getmember("bin/sleep").linkname == "busybox"


def test_a_busybox_that_needs_libraries_is_refused(tmp_path: Path, command: Command) -> None:
    command("busybox", "# /lib64/ld-linux-x86-64.so.2")
    with pytest.raises(EngineError, match="not statically linked: install busybox-static, or name an image"):
        write_image(str(tmp_path / "image.tar"), "x")
