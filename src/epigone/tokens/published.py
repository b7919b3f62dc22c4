"""What a checkpoint says of its tokenizer: its tokenizer_config.json, chat template, and the ids that end a text.

In: a folder in the published layout, or a .gguf file. Out: the same things whichever it is.
Sources: https://huggingface.co/docs/transformers/chat_templating (where a template lies),
https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
"""

import json
from pathlib import Path

from epigone.errors import DataError
from epigone.gguf_file import find_gguf, open_gguf
from epigone.interfaces import ChatTemplate
from epigone.tokens.gguf_tokenizer import named_ids, tokenizer_config
from epigone.tokens.templates.jinja import Jinja
from epigone.tokens.templates.special_tokens import SpecialTokens

TOKENIZER_CONFIG, TEMPLATE = "tokenizer_config.json", "chat_template.jinja"
_WITH_IDS = ("generation_config.json", "config.json")


def tokenizer_config_of(path: Path) -> dict[str, object]:
    """The tokenizer_config.json with its chat template; empty where there is none. Raises DataError."""
    if file := _gguf(path):
        return tokenizer_config(open_gguf(file))
    folder = _folder(path)
    config = _json(folder / TOKENIZER_CONFIG)
    if (folder / TEMPLATE).is_file():
        config["chat_template"] = (folder / TEMPLATE).read_text(encoding="utf-8")
    return config


def template_of(path: Path) -> ChatTemplate | None:
    """The chat template that a checkpoint was published with; None where there is none. Raises DataError."""
    config = tokenizer_config_of(path)
    if "chat_template" not in config:
        return None
    if config["chat_template"] == SpecialTokens().jinja:
        return SpecialTokens()
    if file := _gguf(path):
        return Jinja(str(file), str(file))
    folder = _folder(path)
    alone, beside = folder / TEMPLATE, str(folder / TOKENIZER_CONFIG)
    tokenizer = str(folder / "tokenizer.json")
    if alone.is_file():
        return Jinja(str(alone), tokenizer, beside if Path(beside).is_file() else "")
    return Jinja(beside, tokenizer)


def named_id(path: Path, name: str) -> tuple[int, ...]:
    """The ids that a checkpoint names as its `bos`, `eos` or `pad`."""
    if file := _gguf(path):
        found = named_ids(open_gguf(file)).get(f"{name}_token_id")
        return () if found is None else (found,)
    for file in _WITH_IDS:
        found = _json(_folder(path) / file).get(f"{name}_token_id")
        if isinstance(found, int):
            return (found,)
        if isinstance(found, list) and found:
            return tuple(id_ for id_ in found if isinstance(id_, int))
    return ()


def _gguf(path: Path) -> Path | None:
    """The .gguf file, unless the folder is in the published layout."""
    return None if path.is_dir() and (path / "tokenizer.json").exists() else find_gguf(path) if path.exists() else None


def _folder(path: Path) -> Path:
    return path if path.is_dir() else path.parent


def _json(file: Path) -> dict[str, object]:
    if not file.is_file():
        return {}
    try:
        found: object = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: cannot be read as JSON ({error})") from error
    if not isinstance(found, dict):
        raise DataError(f"{file}: holds no JSON object")
    return {str(key): value for key, value in found.items()}
