"""Fill tests/cdi/vectors from a folder of conformance vectors: python tests/cdi/fill_vectors.py FOLDER

A vector is what the reference implementation answers to one input. Each file is written with a case a line, so that a
change of one shows as one line.
"""

from __future__ import annotations

import json
import pathlib
import shutil
import sys

VECTORS = pathlib.Path(__file__).with_name("vectors")


def fill(source: pathlib.Path) -> int:
    """Write the vectors anew, and return how many there are."""
    count = 0
    shutil.rmtree(VECTORS, ignore_errors=True)
    for path in sorted(source.glob("*/*.json")):
        cases = json.loads(path.read_text("utf-8"))
        target = VECTORS / path.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text("[\n" + ",\n".join(map(_compact, cases)) + "\n]\n", "utf-8")
        count += len(cases)
    fields = json.loads((source / "oci_fields.json").read_text("utf-8"))
    (VECTORS / "oci_fields.json").write_text(_compact(fields) + "\n", "utf-8")
    return count


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    print(f"{fill(pathlib.Path(sys.argv[1]))} vectors")
