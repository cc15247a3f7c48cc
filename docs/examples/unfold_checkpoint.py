"""Print the whole checkpoint that a file of a recorder stands for: python unfold_checkpoint.py FILE

It needs nothing but Python. The digest of what it prints is the digest of the checkpoint.
"""

import gzip
import hashlib
import json
import sys
from pathlib import Path


def lines_of(path):
    """Return the lines of a checkpoint; the base of changes must be in the same folder."""
    content = path.read_bytes()
    if content.startswith(b"\x1f\x8b"):
        content = gzip.decompress(content)
    lines = content.splitlines(keepends=True)
    first = json.loads(lines[0]) if lines else {}
    if "base" not in first:
        return lines
    last, base = json.loads(lines[-1]), lines_of(path.with_name(Path(first["base"]).name))
    if digest_of(base) != first["base_digest"]:
        sys.exit(f"{first['base']} is not the base that {path} was written for")
    heads = {json.loads(line)["taskgroup_id"]: line for line in base}
    for missing in last["missing"]:
        del heads[missing]
    for line in lines[1:-1]:
        head = json.loads(line)
        if "line" in head:
            head = {**json.loads(base[head.pop("line") - 1]), **head}
        text = json.dumps(head, ensure_ascii=False, separators=(",", ":"))
        heads[head["taskgroup_id"]] = text.encode() + b"\n"
    whole = [heads[taskgroup_id] for taskgroup_id in sorted(heads, key=str.encode)]
    if digest_of(whole) != last["digest"]:
        sys.exit(f"{path} was changed, or its base was")
    return whole


def digest_of(lines):
    return hashlib.sha256(b"".join(lines)).hexdigest()


if __name__ == "__main__":
    sys.stdout.buffer.writelines(lines_of(Path(sys.argv[1])))
