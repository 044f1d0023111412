"""Files written aside and renamed: whole or not there."""

import os
from pathlib import Path

import pytest

from attention_limits.files import publish


def test_publishing_replaces_a_file_whole(tmp_path: Path) -> None:
    target = tmp_path / "new" / "folder" / "file.txt"
    publish("one ε", target)
    publish("two ε", target)
    assert target.read_text(encoding="utf-8") == "two ε"
    assert list(target.parent.iterdir()) == [target]


def test_publishing_that_fails_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError("no space left on device")

    target = tmp_path / "file.txt"
    publish("old", target)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        publish("new", target)
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_published_file_may_be_read_by_whom_the_umask_allows(tmp_path: Path) -> None:
    ordinary, published = tmp_path / "ordinary", tmp_path / "published"
    ordinary.write_text("")
    publish("", published)
    assert oct(published.stat().st_mode) == oct(ordinary.stat().st_mode)
