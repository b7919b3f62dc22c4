"""`epigone curate` of a large dump, not on a terminal: lines with the rate and the time left while it reads.

The dump's format holds the curation at a row until the line was seen, so that nothing hangs on how fast a machine is.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

FORMAT = '''
import time
from dataclasses import dataclass
from pathlib import Path
from epigone.formats.messages import Messages

@dataclass(frozen=True)
class Held:
    """Messages, the last rows of which wait until a file is there."""
    def fits(self, path):
        return False
    def read(self, path, notes=None):
        for number, row in enumerate(Messages().read(path, notes)):
            if number == 3000:
                for _ in range(3000):
                    if (path.parent / "go").exists():
                        break
                    time.sleep(0.02)
            yield row
'''


def test_lines_with_rate_and_time_left(tmp_path: Path) -> None:
    (tmp_path / "held.py").write_text(FORMAT)
    dump = tmp_path / "dump.jsonl"
    with dump.open("w") as handle:
        for number in range(4000):
            turns = [{"role": "user", "content": f"Why {number}?"}, {"role": "assistant", "content": "So. " * 500}]
            handle.write(json.dumps({"id": str(number), "messages": turns}) + "\n")
    command = [sys.executable, "-m", "epigone", "curate", str(dump), "--format", "held:Held", "--root", "runs"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        seen: list[str] = []
        for line in running.stderr:
            seen.append(line)
            if "MB/s" in line:
                break
        (tmp_path / "go").touch()
        seen += running.stderr.readlines()
    assert running.returncode == 0, "".join(seen)
    told = r"\d+:\d\d  0/1 datasets/dump: \d\S* of \d\S* MB, \d\S* MB/s, \d+:\d\d left, dump\.jsonl, [\d,]+ rows read\n"
    assert [line for line in seen if re.fullmatch(told, line)], seen
    assert "\x1b" not in "".join(seen)
    (made,) = (tmp_path / "runs" / "datasets").iterdir()
    assert {p.name for p in made.iterdir() if "progress" in p.name} == set()
