"""gather: what a grid's report shows of its own material, and that each audit comes along with its items."""

import json
from pathlib import Path

from epigone.datasets import write_dataset
from epigone.records import Conversation, Message
from epigone.spec import Artifact, Component
from epigone.stages.gather import Audited, Gather, Place

BROAD, AUDIT = Artifact("datasets/mix--0"), Artifact("studies/audit--0")


def gathered(tmp_path: Path, gather: Gather) -> tuple[str, Path]:
    """The report's page, and where it is."""
    audit = tmp_path / "audit"
    (audit / "items").mkdir(parents=True)
    for name in ("report.html", "items.html", "items/00000.js", "DONE"):
        (audit / name).write_text(name)
    told = {
        "teacher": "T",
        "capability": {},
        "style": {},
        "preference": {},
        "verdict": {},
        "missing": {},
        "ceiling": None,
    }
    (audit / "audit.json").write_text(json.dumps(told))
    turns = (Message("user", "Say <b>hello</b>"), Message("assistant", "hello " * 200))
    (tmp_path / "mix").mkdir()
    write_dataset(tmp_path / "mix" / "records.parquet", [Conversation(f"c{n}", turns) for n in range(9)])
    places = {BROAD: tmp_path / "mix", AUDIT: audit}
    gather.run(lambda source: places[source], tmp_path / "out")
    return (tmp_path / "out" / "report.html").read_text(), tmp_path / "out"


def test_dialogues_seeds_and_template_are_shown(tmp_path: Path):
    generator = Component.of("prompts", "nq_synthetic")
    family = Audited("a base", AUDIT, (Place("a base", "base"),), (("parameters", 9),))
    page, out = gathered(tmp_path, Gather("T", "t", (family,), broad=BROAD, generator=generator))
    assert page.count("Say &lt;b&gt;hello&lt;/b&gt;") == 3 and page.count("hello  …") == 3
    assert "who plays the medical examiner on hawaii five-o?" in page  # the first row of the paper's Table 3
    assert "I want you to generate a series of questions and answers." in page  # the beginning of its Table 4
    assert 'href="#table_3"' in page and 'href="#material"' in page
    assert (out / "audits" / "a base" / "items" / "00000.js").is_file()
    assert not (out / "audits" / "a base" / "DONE").exists()
    assert "audits/a%20base/items.html" in page


def test_what_is_not_known_says_why(tmp_path: Path):
    family = Audited("a base", AUDIT, (Place("a base", "base"),), ())
    page, _ = gathered(tmp_path, Gather("T", "t", (family,)))
    assert "not measured: the synthetic questions came as a file" in page and 'id="material"' not in page
    assert "not measured: nobody sorted these queries" in page
