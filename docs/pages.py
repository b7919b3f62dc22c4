"""The pages of the documentation site: those of docs/, those of the repository's root, and the reference.

    python docs/pages.py build/pages

In: the repository, the command line, the components, the source. Out: a folder of Markdown that any generator of sites
takes (mkdocs.yml says which): links lead from page to page wherever the files of both lie, and a file that is no page
is copied beside them.
"""

import ast
import inspect
import os
import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "epigone"
AT_ROOT = {"README.md": "index.md"} | {
    name: name for name in ("ARCHITECTURE.md", "GLOSSARY.md", "LOG.md", "CHANGELOG.md")
}
"""Pages of the repository's root, by where they stand in the site."""
DECISIONS = "decisions/index.md"
FOLDERS = (
    "studies",
    "stages",
    "backends",
    "prompts",
    "formats",
    "curation",
    "benchmarks",
    "judges",
    "toxicity",
    "training.treatments",
    "tokens.templates",
    "recordings.answers",
    "recordings.judgments",
    "recordings.scores",
    "executors",
)
_LINK = re.compile(r"(?<=\]\()([^)#\s]+)")


def main() -> None:
    """Write all pages into the folder that the command line names, which is emptied first."""
    out = Path(sys.argv[1])
    shutil.rmtree(out, ignore_errors=True)
    documents = {path.relative_to(ROOT / "docs"): path for path in (ROOT / "docs").rglob("*") if path.is_file()}
    pages = {str(page): path.read_text(encoding="utf-8") for page, path in documents.items() if path.suffix == ".md"}
    for page, text in (pages | generated()).items():
        target = out / page
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(with_links(text, page), encoding="utf-8")
    others = {str(page): path for page, path in documents.items() if path.suffix not in (".md", ".py")}
    for name, path in (others | {f"files/{name}": ROOT / name for name in linked_files()}).items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, out / name)


def generated() -> dict[str, str]:
    """Pages that lie nowhere in docs/, by where they stand in the site."""
    pages = {path: (ROOT / name).read_text(encoding="utf-8") for name, path in AT_ROOT.items()}
    pages |= {DECISIONS: decisions(), "reference/cli.md": command_line(), "reference/components.md": components()}
    return pages | python_pages()


# links


def source_of(page: str) -> Path:
    """The file that a page was made of, from the repository's root."""
    at_root = {path: name for name, path in AT_ROOT.items()}
    return Path(at_root[page]) if page in at_root else Path("docs") / page


def place_of(target: str) -> str:
    """Where in the site a file or folder of the repository stands."""
    if target in AT_ROOT:
        return AT_ROOT[target]
    if target == "docs/decisions":
        return DECISIONS
    return target.removeprefix("docs/") if target.startswith("docs/") else f"files/{target}"


def with_links(markdown: str, page: str) -> str:
    """The page's text with its relative links as the site needs them; code blocks are left alone."""
    source = source_of(page)

    def moved(match: re.Match[str]) -> str:
        if "://" in match[1] or match[1].startswith("mailto:"):
            return match[1]
        target = os.path.normpath(source.parent / match[1])
        if not (ROOT / target).exists():
            return match[1]  # a page of the site alone, or a mistake that the generator tells of
        return os.path.relpath(place_of(target), os.path.dirname(page) or ".")

    parts = re.split(r"(```.*?```)", markdown, flags=re.DOTALL)
    return "".join(part if part.startswith("```") else _LINK.sub(moved, part) for part in parts)


def linked_files() -> list[str]:
    """Files that pages link to and that are no pages: scripts, the licence."""
    found: set[str] = set()
    for source in [*(ROOT / name for name in AT_ROOT), *ROOT.glob("docs/**/*.md")]:
        for target in _LINK.findall(re.sub(r"```.*?```", "", source.read_text(encoding="utf-8"), flags=re.DOTALL)):
            path = os.path.relpath(os.path.normpath(source.parent / target), ROOT)
            if "://" not in target and (ROOT / path).is_file() and place_of(path).startswith("files/"):
                found.add(path)
    return sorted(found)


# the reference


def decisions() -> str:
    """A list of all decisions."""
    lines = ["# Decisions", "", "Why it is as it is, in the order in which it was decided.", ""]
    for path in sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md")):
        title = path.read_text(encoding="utf-8").splitlines()[0].lstrip("# ")
        lines.append(f"- [{title}]({path.name})")
    return "\n".join([*lines, ""])


def command_line() -> str:
    """Every verb with its arguments and options, and every study with its own."""
    import typer  # noqa: PLC0415

    from epigone.cli.app import app  # noqa: PLC0415

    group = typer.main.get_command(app)
    lines = ["# Command line", "", "Made from the program itself: `epigone VERB --help` says the same.", ""]
    for name, command in sorted(group.commands.items()):
        lines += [
            f"## epigone {name}",
            "",
            inspect.cleandoc(command.help or ""),
            "",
            "| option | default | |",
            "|---|---|---|",
        ]
        lines += [
            _option(each) for each in command.params if getattr(each, "help", "") or each.param_type_name == "argument"
        ]
        lines.append("")
        lines += _studies() if name == "study" else []
    return "\n".join(lines)


def _option(parameter) -> str:
    is_option = parameter.param_type_name == "option"
    names = ", ".join(f"`{name}`" for name in parameter.opts) if is_option else f"`{parameter.name.upper()}`"
    default = "needed" if parameter.required else _default(parameter.default)
    return f"| {names} | {default} | {_cell(getattr(parameter, 'help', '') or '')} |"


def _default(value: object) -> str:
    return "" if value in (None, "", [], ()) or callable(value) else f"`{value}`"


def _studies() -> list[str]:
    from epigone import discover  # noqa: PLC0415
    from epigone.commands.study_options import OWN_COMMAND, described  # noqa: PLC0415

    lines: list[str] = []
    for name in discover.names("studies"):
        if name not in OWN_COMMAND:
            lines += [f"### epigone study {name}", "", "```text", described(name), "```", ""]
    return lines


def components() -> str:
    """Every component of every folder, by the name under which it is found, with its options."""
    from epigone import discover  # noqa: PLC0415

    lines = [
        "# Components",
        "",
        "A file in its folder is the registration: its name is the component's, its fields are the options.",
        "",
    ]
    for folder in FOLDERS:
        lines += [f"## {folder}", ""]
        for name in discover.names(folder):
            path = PACKAGE / folder.replace(".", "/") / f"{name}.py"
            tree = ast.parse(path.read_text(encoding="utf-8"))
            cls = None if folder == "studies" else _component(folder, name, tree)
            if folder != "studies" and cls is None:
                continue
            lines += [f"### {folder}.{name}", "", _prose(ast.get_docstring(tree) or ""), ""]
            lines += _fields(cls) if cls else []
    return "\n".join(lines)


def _component(folder: str, name: str, tree: ast.Module) -> ast.ClassDef | None:
    """The public dataclass of the file, the one that bears its name where there are several."""
    found = [
        node
        for node in tree.body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_") and node.decorator_list
    ]
    named = [node for node in found if node.name.lower() == name.replace("_", "")] or found
    return named[0] if named else None


def _fields(cls: ast.ClassDef) -> list[str]:
    rows = ["| option | default | |", "|---|---|---|"]
    for here, after in zip(cls.body, [*cls.body[1:], None], strict=True):
        if isinstance(here, ast.AnnAssign) and "ClassVar" not in ast.unparse(here.annotation):
            told = after.value.value if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) else ""
            default = f"`{_cell(ast.unparse(here.value))}`" if here.value else "needed"
            rows.append(f"| `{ast.unparse(here.target)}` | {default} | {_cell(str(told))} |")
    return [*rows, ""] if len(rows) > 2 else []


def python_pages() -> dict[str, str]:
    """A page for each module or folder of the package, with the docstrings of what is public, and a list of them."""
    found: dict[str, str] = {}
    lines = ["# Python", "", "Every public name with its docstring, from the source.", "", "| module | |", "|---|---|"]
    for entry in sorted(PACKAGE.iterdir()):
        if entry.name.startswith(("_", ".")) or (entry.is_file() and entry.suffix != ".py"):
            continue
        files = [entry] if entry.is_file() else sorted(entry.rglob("*.py"))
        body = "\n".join(_module(path) for path in files)
        page = f"reference/python/{entry.stem}.md"
        found[page] = f"# epigone.{entry.stem}\n\n{body}\n"
        first = ast.get_docstring(
            ast.parse((entry if entry.is_file() else entry / "__init__.py").read_text(encoding="utf-8"))
        )
        lines.append(f"| [{entry.stem}](python/{entry.stem}.md) | {_cell((first or '').split(chr(10) * 2)[0])} |")
    return found | {"reference/python.md": "\n".join([*lines, ""])}


def _module(path: Path) -> str:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    name = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
    parts = [f"## {name}", "", _prose(ast.get_docstring(tree) or ""), ""]
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            parts += _entry(node, 3)
            for inner in node.body if isinstance(node, ast.ClassDef) else []:
                if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef) and not inner.name.startswith("_"):
                    parts += _entry(inner, 4)
    return "\n".join(parts)


def _entry(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef, level: int) -> list[str]:
    title = f"{'#' * level} {node.name}"
    lines = [title, ""]
    if not isinstance(node, ast.ClassDef):
        returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
        lines += ["```text", f"{node.name}({ast.unparse(node.args)}){returns}", "```", ""]
    lines += [_prose(ast.get_docstring(node) or ""), ""]
    return lines + (_fields(node) if isinstance(node, ast.ClassDef) else [])


def _prose(docstring: str) -> str:
    """A docstring as Markdown: indented lines are code, and nothing in the prose is taken for a link or a tag."""
    blocks = re.split(r"\n\s*\n", docstring)
    told = [_block(block) for block in blocks]
    return "\n\n".join(told)


def _block(block: str) -> str:
    lines = block.splitlines()
    indented = [line for line in lines if line.startswith("    ")]
    if indented and lines[0].startswith("    "):
        return "```text\n" + inspect.cleandoc("\n" + block) + "\n```"
    return _plain(block)


def _plain(text: str) -> str:
    """Marks of Markdown that a docstring does not mean, but for code in backquotes."""
    parts = re.split(r"(`[^`\n]*`)", text)
    return "".join(part if part.startswith("`") else re.sub(r"([<\[\]*_|\\])", r"\\\1", part) for part in parts)


def _cell(text: str) -> str:
    return _plain(" ".join(text.split())) if "`" in text else re.sub(r"([<|\[\]*])", r"\\\1", " ".join(text.split()))


if __name__ == "__main__":
    main()
