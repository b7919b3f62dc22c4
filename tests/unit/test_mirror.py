"""An object store behind the root: two machines share their artifacts by it, whole or not at all."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import fsspec
import pytest

from epigone.errors import ArtifactError, SpecError
from epigone.interfaces import StageSpec
from epigone.mirror import VARIABLE, Mirror
from epigone.needs import needs_of
from epigone.store import Store, verify

built: list[str] = []


@dataclass(frozen=True)
class Word:
    """A stage that writes its text behind that of another."""

    text: str
    before: StageSpec | None = None

    kind: ClassVar[str] = "words"
    version: ClassVar[int] = 1
    slug: ClassVar[str] = "word"
    effort: ClassVar[float] = 1.0

    def run(self, inputs: Callable[[object], Path], out: Path) -> dict[str, object]:
        built.append(self.text)
        (out / "deep").mkdir(exist_ok=True)
        start = (inputs(self.before) / "deep" / "text.txt").read_text() if self.before else ""
        (out / "deep" / "text.txt").write_text(start + self.text)
        return {}


FIRST = Word("one ")
SECOND = Word("two", FIRST)


@pytest.fixture(params=["memory://mirror/runs", "file://{}"])
def mirror(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mirror:
    url = request.param.format(tmp_path / "bucket")
    fsspec.filesystem("memory").store.clear()
    built.clear()
    monkeypatch.setenv(VARIABLE, url)
    return Mirror(url)


def test_what_one_machine_built_another_does_not(mirror: Mirror, tmp_path: Path) -> None:
    here, there = Store(tmp_path / "here"), Store(tmp_path / "there")
    for stage in (FIRST, SECOND):
        assert not here.is_done(stage)
        here.build(stage)
    assert built == ["one ", "two"] and mirror.has(here.resolver.id(SECOND))
    assert there.is_done(SECOND) and there.is_done(FIRST)
    needs_of(Word("three", FIRST), there)
    assert not list((tmp_path / "there").glob("words/*"))  # nothing comes before it is read
    folder = there.build(SECOND)
    assert built == ["one ", "two"] and (folder / "deep" / "text.txt").read_text() == "one two"
    assert verify(folder) == 3 and len(list((tmp_path / "there").glob("words/*"))) == 1
    names = sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
    for name in names:
        assert (folder / name).read_bytes() == (here.path(SECOND) / name).read_bytes()
    third = there.build(Word("three", FIRST))  # fetches what it reads
    assert (third / "deep" / "text.txt").read_text() == "one three" and built[-1] == "three"
    assert not [p for p in (tmp_path / "there" / ".staging").iterdir() if p.name.startswith("fetched-")]


def test_what_was_built_before_there_was_a_mirror_is_sent(mirror: Mirror, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.delenv(VARIABLE)
    store = Store(tmp_path / "here")
    store.build(FIRST)
    monkeypatch.setenv(VARIABLE, mirror.url)
    assert not mirror.has(store.resolver.id(FIRST))
    store.build(FIRST)
    assert mirror.has(store.resolver.id(FIRST)) and built == ["one "]


def change(mirror: Mirror, artifact_id: str, name: str, text: str) -> None:
    files, root = fsspec.core.url_to_fs(mirror.url)
    with files.open(f"{root}/{artifact_id}/{name}", "w") as handle:
        handle.write(text)


def test_what_is_not_as_it_was_sent_is_refused(mirror: Mirror, tmp_path: Path) -> None:
    store = Store(tmp_path / "here")
    store.build(FIRST)
    artifact_id = store.resolver.id(FIRST)
    listing = json.loads((store.path(FIRST) / "DONE").read_text())
    change(mirror, artifact_id, "deep/text.txt", "won ")
    there = Store(tmp_path / "there")
    with pytest.raises(ArtifactError, match=r"deep/text.txt is not what DONE says; delete"):
        there.path(FIRST)
    assert not list((tmp_path / "there").glob("words/*"))
    outside = {"files": {"../../../escaped": {"bytes": 1, "sha256": ""}} | listing["files"]}
    change(mirror, artifact_id, "DONE", json.dumps(outside))
    with pytest.raises(ArtifactError, match=r"names '../../../escaped', which is no file of an artifact"):
        there.path(FIRST)
    assert not (tmp_path / "escaped").exists()


def test_of_another_spec(mirror: Mirror, tmp_path: Path) -> None:
    store = Store(tmp_path / "here")
    store.build(FIRST)
    change(mirror, store.resolver.id(FIRST), "spec.json", json.dumps({"spec": {"text": "other"}}))
    with pytest.raises(ArtifactError, match="another spec"):
        Store(tmp_path / "there").is_done(FIRST)


def test_no_such_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "nowhere://bucket/runs")
    with pytest.raises(SpecError, match=r"EPIGONE_MIRROR=nowhere://bucket/runs: .*name a place that fsspec knows"):
        Store(tmp_path).is_done(FIRST)
