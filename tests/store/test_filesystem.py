"""Which file systems are over a network, and what SQLite does there."""

from __future__ import annotations

from pathlib import Path

import pytest

from dreammake.store import db, filesystem
from dreammake.store.filesystem import is_network, kind_of
from dreammake.store.prompt_cache import PromptCache

MOUNTS = r"""22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
40 27 0:50 / /mnt/shared rw - nfs4 server:/export rw
41 40 8:1 / /mnt/shared/local rw - xfs /dev/sda1 rw
42 27 0:51 / /mnt/with\040space rw - fuse.sshfs somebody@there: rw
43 27 8:2 / /mnt/usb rw - fuseblk /dev/sdb1 rw
44 27 0:52 / /mnt/win rw - cifs //server/x rw
45 27 0:53 / /mnt/vm rw - 9p host rw
broken line
"""


@pytest.fixture
def mounts(tmp_path: Path) -> Path:
    path = tmp_path / "mountinfo"
    path.write_text(MOUNTS)
    return path


@pytest.mark.parametrize(
    ("path", "kind", "network"),
    [
        ("/home/x", "ext4", False),
        ("/mnt/shared/project/.dreammake", "nfs4", True),
        ("/mnt/shared/local/x", "xfs", False),
        ("/mnt/sharedx", "ext4", False),
        ("/mnt/with space/x", "fuse.sshfs", True),
        ("/mnt/usb/x", "fuseblk", False),
        ("/mnt/win", "cifs", True),
        ("/mnt/vm/x", "9p", True),
    ],
)
def test_the_innermost_mount_tells(mounts: Path, path: str, kind: str, network: bool) -> None:
    assert kind_of(Path(path), mounts) == kind
    assert is_network(Path(path), mounts) is network


def test_where_nobody_tells_files_are_local(tmp_path: Path) -> None:
    assert not is_network(tmp_path, tmp_path / "nothing")


def test_there_is_no_write_ahead_log_over_a_network(
    tmp_path: Path, mounts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.sqlite"
    with db.connect(path) as connection:
        assert connection.execute("pragma journal_mode").fetchone() == ("wal",)
    connection.close()
    mounts.write_text(f"27 1 254:0 / {tmp_path} rw - nfs4 server:/x rw\n")
    monkeypatch.setattr(filesystem.is_network, "__defaults__", (mounts,))
    with db.connect(path) as connection:
        assert connection.execute("pragma journal_mode").fetchone() == ("delete",)
    connection.close()
    cache = PromptCache(tmp_path / "y.sqlite")
    assert not list(tmp_path.glob("y.sqlite-*")), "one file, and none beside it"
    cache.close()
