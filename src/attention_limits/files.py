"""Files that are whole or not there: written aside, flushed to the disk, then renamed."""

import os
from pathlib import Path


def publish(text: str, target: Path) -> None:
    """Write a file aside, then rename it: a reader sees the old one or the new one, whole.

    Several processes may publish the same target; the last one wins.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f".{target.name}.{os.getpid()}.new")
    try:
        with aside.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(target)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
