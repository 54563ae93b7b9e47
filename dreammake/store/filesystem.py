"""What kind of file system a path is on: SQLite's write-ahead log needs memory that all who open the file share, and
over a network they do not."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")
"""Where Linux tells them; other systems are taken to have local files."""

_OVER_A_NETWORK = re.compile(
    r"nfs\d?|cifs|smb\d?|smbfs|9p|ncpfs|afs|lustre|beegfs|gpfs|ceph|glusterfs|pvfs2|orangefs|davfs|fuse(\..+)?"
)


def is_network(path: Path, mounts: Path = MOUNTS) -> bool:
    """Whether a path lies on a network file system, or on one of a program of its own (FUSE)."""
    return _OVER_A_NETWORK.fullmatch(kind_of(path, mounts)) is not None


def kind_of(path: Path, mounts: Path = MOUNTS) -> str:
    """The type of the file system that holds a path, which need not exist: `ext4`, `nfs4`; "" where nobody tells."""
    place = os.path.realpath(path)
    best, kind = "", ""
    with suppress(OSError):
        for line in mounts.read_text("utf-8", "replace").splitlines():
            # 36 35 98:0 /root /mount/point rw,noatime shared:1 - ext4 /dev/root rw
            before, _, after = line.partition(" - ")
            fields = before.split(" ")
            if len(fields) < 5 or not after:
                continue
            point = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), fields[4])
            inside = place == point or place.startswith(point.rstrip("/") + "/")
            if inside and len(point) >= len(best):
                best, kind = point, after.split(" ", 1)[0]
    return kind
