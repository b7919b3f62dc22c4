"""What the artifacts under a root hold, byte for byte; clocks apart, which stand in files of their own."""

from pathlib import Path

CLOCKS = ("summary.json", "raw.jsonl", "DONE")  # seconds, and the checksum of the files that hold them


def artifacts(root: Path) -> list[Path]:
    return sorted(done.parent for done in root.glob("*/*/DONE"))


def contents(root: Path) -> dict[str, bytes]:
    files = (p for folder in artifacts(root) for p in folder.rglob("*") if p.is_file() and p.name not in CLOCKS)
    return {str(p.relative_to(root)): p.read_bytes() for p in files}
