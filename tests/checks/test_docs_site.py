"""The documentation site: its generated pages, its links, and, where mkdocs is installed, the site itself."""

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from source import PACKAGE, ROOT


@pytest.fixture(scope="module")
def pages() -> ModuleType:
    spec = importlib.util.spec_from_file_location("pages", ROOT / "docs" / "pages.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def without_code(text: str) -> str:
    """Markdown less what only looks like a link there."""
    return re.sub(r"`[^`\n]*`", "", re.sub(r"```.*?```", "", text, flags=re.S))


def test_every_document_stands_in_the_navigation() -> None:
    listed = set(re.findall(r"[\w./-]+\.md", (ROOT / "mkdocs.yml").read_text(encoding="utf-8")))
    documents = {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").glob("**/*.md")}
    assert {path for path in documents if not path.startswith("decisions/")} <= listed


def test_links_between_files_become_links_between_pages(pages: ModuleType) -> None:
    text = "[a](../../ARCHITECTURE.md) [b](plan.md#top) [c](../decisions) [d](../../launch/slurm.sh) [e](https://x.org)"
    assert pages.with_links(text, "how-to/audit.md") == (
        "[a](../ARCHITECTURE.md) [b](plan.md#top) [c](../decisions/index.md) [d](../files/launch/slurm.sh) "
        "[e](https://x.org)"
    )
    assert pages.with_links("[a](docs/how-to/audit.md) [b](LICENSE)", "index.md") == (
        "[a](how-to/audit.md) [b](files/LICENSE)"
    )
    assert pages.with_links("```text\n[a](docs/how-to/audit.md)\n```", "index.md").count("docs/") == 1


def test_the_reference_has_every_verb_component_and_module(pages: ModuleType) -> None:
    found = pages.generated()
    from epigone.cli.app import app

    verbs = {command.name or command.callback.__name__.replace("_", "-") for command in app.registered_commands}
    assert verbs <= {name.replace("_", "-") for name in re.findall(r"## epigone ([\w-]+)\n", found["reference/cli.md"])}
    for benchmark in ("mmlu", "humaneval"):
        assert f"### benchmarks.{benchmark}\n" in found["reference/components.md"]
    listed = set(re.findall(r"python/(\w+)\.md\)", found["reference/python.md"]))
    assert listed == {path.stem for path in PACKAGE.iterdir() if not path.name.startswith(("_", "."))}


def test_every_link_leads_to_a_file_of_the_site(
    pages: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["pages.py", str(tmp_path)])
    pages.main()
    found = [
        (page.relative_to(tmp_path), target)
        for page in tmp_path.rglob("*.md")
        for target in re.findall(r"\]\(([^)#\s:]+)(?:#[^)\s]*)?\)", without_code(page.read_text(encoding="utf-8")))
    ]
    assert len(found) > 200
    assert [(page, target) for page, target in found if not (tmp_path / page.parent / target).exists()] == []


@pytest.mark.slow
def test_the_site_builds_without_warnings_and_needs_nothing_from_elsewhere(tmp_path: Path) -> None:
    if not importlib.util.find_spec("mkdocs"):
        pytest.skip("mkdocs is not installed: make docs installs it")
    shutil.copyfile(ROOT / "mkdocs.yml", tmp_path / "mkdocs.yml")
    subprocess.run([sys.executable, ROOT / "docs" / "pages.py", tmp_path / "build" / "pages"], check=True)
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    found = list((tmp_path / "site").rglob("*.html"))
    assert len(found) > 100
    fetched = r'<(?:script|img|iframe)[^>]+src="?(?:https?:)?//'
    fetched += r'|<link[^>]+rel="?(?:stylesheet|preload)"?[^>]+href="?(?:https?:)?//'
    assert [page for page in found if re.search(fetched, page.read_text(encoding="utf-8"))] == []
