"""Verify an export of the recorder, from a file or from standard input: python verify_export.py [FILE]

It needs the package rfc8785, but nothing from the recorder.
"""

import fileinput
import hashlib
import json
import sys

import rfc8785


def verify(lines):
    """Return the numbers of entries and groups, or exit with the first line that breaks the chain."""
    entries, groups, number = 0, 0, 0
    group, seq, digest, ended = "", 0, bytes(32), True
    for number, line in enumerate(lines, 1):
        try:
            item = json.loads(line)
            if "open" in item:
                follows, ended = not ended and item["open"]["taskgroup_id"] == group, True
                groups += 1
            else:
                record = item["record"]
                if ended and record["taskgroup_id"].encode() > group.encode():
                    group, seq, digest, ended = record["taskgroup_id"], 0, bytes(32), False
                seq, digest = seq + 1, hashlib.sha256(digest + rfc8785.dumps(record)).digest()
                place = record["taskgroup_id"], record["seq"], item["digest"]
                follows = not ended and place == (group, seq, digest.hex())
                entries += 1
        except (ValueError, LookupError, TypeError, AttributeError):
            follows = False
        if not follows:
            sys.exit(f"line {number} does not follow from those before it")
    if not ended:
        sys.exit(f"line {number} is the last one, but not the last of its group")
    return entries, groups


if __name__ == "__main__":
    with fileinput.input(mode="rb") as lines:
        found = verify(lines)
    sys.stdout.write("{:,} entries in {:,} groups: intact\n".format(*found))
