"""The way back of `gguf_tokenizer`: a tokenizer.json as the metadata `tokenizer.*` of a GGUF file.

In: a folder with tokenizer.json and perhaps tokenizer_config.json, or a .gguf file, whose metadata are taken as they
are. Out: metadata. A tokenizer that GGUF has no name for is refused. Sources: as in `gguf_tokenizer`.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import numpy as np

from epigone.errors import DataError, SpecError
from epigone.gguf_file import Value, find_gguf, open_gguf
from epigone.tokens.gguf_tokenizer import BYTE, CONTROL, NAMED, NORMAL, UNKNOWN, UNUSED, USER_DEFINED, WORDS
from epigone.tokens.tokenizer import Tokenizer

_ONE_DIGIT, _PLAIN = "smollm", "gpt-2"


def tokenizer_metadata(path: Path, *, num_tokens: int) -> dict[str, Value]:
    """The metadata of a checkpoint's tokenizer, filled up to the `num_tokens` of its embedding.

    Raises DataError where there is none, SpecError for one that GGUF has no name for.
    """
    if not (path / "tokenizer.json").exists() and (file := find_gguf(path)):
        return {k: v for k, v in open_gguf(file).metadata.items() if k.startswith("tokenizer.")}
    plain = _plain(path / "tokenizer.json")
    config = _plain(path / "tokenizer_config.json") if (path / "tokenizer_config.json").exists() else {}
    model = cast(Mapping[str, object], plain["model"])
    if model.get("type") != "BPE":
        raise SpecError(f"{path}: GGUF has no name for a tokenizer of type {model.get('type')!r}; only BPE is written")
    vocabulary = Tokenizer.load(path).backend.get_vocab(with_added_tokens=True)
    tokens = [f"[PAD{id_}]" for id_ in range(max(num_tokens, 1 + max(vocabulary.values())))]
    for token, id_ in vocabulary.items():
        tokens[id_] = token
    types = _types(plain, model, tokens, vocabulary)
    found: dict[str, Value] = {
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": np.asarray(types, np.int32),
    }
    merges = [
        pair if isinstance(pair, str) else " ".join(pair) for pair in cast(list[str | list[str]], model["merges"])
    ]
    if model.get("byte_fallback"):
        found |= _sentencepiece(plain, tokens, types, merges)
    else:
        found |= {"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": _words(path, plain, model)}
        found |= {"tokenizer.ggml.merges": merges, "tokenizer.ggml.add_bos_token": bool(config.get("add_bos_token"))}
    return found | _named(config, model, vocabulary)


def _named(
    config: Mapping[str, object], model: Mapping[str, object], vocabulary: Mapping[str, int]
) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for key, name in NAMED.items():
        given = config.get(name) or (model.get(name) if name == "unk_token" else None)
        token = cast(Mapping[str, object], given)["content"] if isinstance(given, dict) else given
        if isinstance(token, str) and token in vocabulary:
            found[f"tokenizer.ggml.{key}_token_id"] = vocabulary[token]
    if isinstance(template := config.get("chat_template"), str):
        found["tokenizer.chat_template"] = template
    return found


def _types(
    plain: Mapping[str, object], model: Mapping[str, object], tokens: Sequence[str], vocabulary: Mapping[str, int]
) -> list[int]:
    added = cast(list[dict[str, object]], plain.get("added_tokens") or [])
    types = [NORMAL if token in vocabulary else UNUSED for token in tokens]
    if model.get("byte_fallback"):
        for byte in range(256):
            if (id_ := vocabulary.get(f"<0x{byte:02X}>")) is not None:
                types[id_] = BYTE
    for token in added:
        types[cast(int, token["id"])] = CONTROL if token.get("special") else USER_DEFINED
    unknown = model.get("unk_token")
    if isinstance(unknown, str) and unknown in vocabulary:
        types[vocabulary[unknown]] = UNKNOWN
    return types


def _sentencepiece(
    plain: Mapping[str, object], tokens: Sequence[str], types: Sequence[int], merges: Sequence[str]
) -> dict[str, Value]:
    """A piece's score falls with the place of the first merge that makes it."""
    places: dict[str, int] = {}
    for place, merge in enumerate(merges):
        places.setdefault("".join(merge.split(" ")), place)
    ranks = {piece: rank for rank, piece in enumerate(places)}
    last = len(ranks)
    scores = [-float(ranks.get(token, last)) if of == NORMAL else 0.0 for token, of in zip(tokens, types, strict=True)]
    told = json.dumps([plain.get("normalizer"), plain.get("pre_tokenizer")])
    return {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.pre": "default",
        "tokenizer.ggml.scores": np.asarray(scores, np.float32),
        "tokenizer.ggml.add_space_prefix": "Prepend" in told or '"prepend_scheme": "first"' in told,
        "tokenizer.ggml.add_bos_token": plain.get("post_processor") is not None,
    }


def _words(path: Path, plain: Mapping[str, object], model: Mapping[str, object]) -> str:
    """GGUF's name for how words are cut."""
    outer = cast(dict[str, object], plain.get("pre_tokenizer") or {})
    steps = cast(list[dict[str, object]], outer.get("pretokenizers") or [outer])
    level = steps[-1]
    if level.get("type") == "ByteLevel" and not level.get("add_prefix_space"):
        before = [_cut_by(step) for step in steps[:-1]]
        plain_words = WORDS[_PLAIN].patterns[0]
        patterns = (*before, plain_words) if level.get("use_regex", True) else tuple(before)
        composes = "NFC" in json.dumps(plain.get("normalizer"))
        wanted = (patterns, bool(model.get("ignore_merges")), composes)
        if name := next((name for name, words in WORDS.items() if tuple(words) == wanted), None):
            return name
    raise SpecError(f"{path}: GGUF has no name for how this tokenizer cuts words; there is: {', '.join(WORDS)}")


def _cut_by(step: Mapping[str, object]) -> str:
    if step.get("type") == "Digits" and step.get("individual_digits"):
        return WORDS[_ONE_DIGIT].patterns[0]
    pattern = cast(Mapping[str, object], step.get("pattern") or {})
    return str(pattern.get("Regex", step.get("type")))


def _plain(path: Path) -> dict[str, object]:
    try:
        return cast(dict[str, object], json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as JSON ({error})") from error
