"""A GGUF file's tokenizer, rebuilt as the one of `tokenizers` that tokenizer.json would have held.

In: the metadata `tokenizer.*`. Out: a byte-level BPE (model `gpt2`), cut into words as `tokenizer.ggml.pre` names it,
or a SentencePiece BPE with byte fallback (model `llama`), and the tokenizer_config.json that goes with it.
SentencePiece merges by the score of what comes out, `tokenizers` by a list of pairs: every way to cut a piece in two
becomes a pair.
Sources: https://github.com/ggml-org/llama.cpp/blob/master/src/llama-vocab.cpp (patterns by name, types of tokens);
https://github.com/google/sentencepiece (bpe_model.cc).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from epigone.errors import DataError
from epigone.gguf_file import GgufFile

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
"""Types of tokens."""
SPACE = "▁"
_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_QWEN2 = _LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")


class Words(NamedTuple):
    """How text is cut into words before bytes are merged."""

    patterns: tuple[str, ...]
    """One after the other."""
    ignores_merges: bool = False
    """A word that is in the vocabulary is taken whole."""
    composes: bool = False
    """Text is brought to NFC first."""


_PLAIN, _DIGITS = Words((_GPT2,)), Words((r"\p{N}", _GPT2))
WORDS = {
    **dict.fromkeys(("gpt-2", "gpt2", "olmo", "phi-2", "jais", "mpt", "default"), _PLAIN),
    **dict.fromkeys(("smollm", "starcoder", "refact", "command-r", "codeshell"), _DIGITS),
    **dict.fromkeys(("llama-bpe", "llama3", "llama-v3", "smaug-bpe"), Words((_LLAMA3,), ignores_merges=True)),
    **dict.fromkeys(("qwen2", "deepseek-r1-qwen"), Words((_QWEN2,), composes=True)),
}
"""By `tokenizer.ggml.pre`."""
NAMED = {"bos": "bos_token", "eos": "eos_token", "unknown": "unk_token", "padding": "pad_token"}


def tokenizer_of(file: GgufFile) -> Tokenizer:
    """The tokenizer of a file. Raises DataError for a kind of tokenizer that is not known, and for a damaged one."""
    kind = file.text("tokenizer.ggml.model")
    build = {"gpt2": _byte_level, "llama": _sentencepiece}.get(kind)
    if build is None:
        raise DataError(f"{file.path}: a tokenizer of kind {kind!r} cannot be rebuilt; there is: gpt2, llama")
    tokens = file.texts("tokenizer.ggml.tokens")
    types = [int(number) for number in file.numbers("tokenizer.ggml.token_type")]
    vocabulary = {token: id_ for id_, token in enumerate(tokens)}
    if len(types) != len(tokens) or len(vocabulary) != len(tokens):
        raise DataError(
            f"{file.path}: {len(tokens)} tokens, {len(vocabulary)} of them different, and {len(types)} types of them"
        )
    tokenizer = build(file, vocabulary, types)
    by_type = {kind: [t for t, of in zip(tokens, types, strict=True) if of == kind] for kind in (CONTROL, USER_DEFINED)}
    tokenizer.add_special_tokens([AddedToken(t, normalized=False, special=True) for t in by_type[CONTROL]])
    tokenizer.add_tokens([AddedToken(t, normalized=False) for t in by_type[USER_DEFINED]])
    _add_ends(file, tokenizer)
    return tokenizer


def tokenizer_config(file: GgufFile) -> dict[str, object]:
    """The tokenizer_config.json: named tokens and, where there is one, the chat template."""
    named = named_tokens(file)
    config: dict[str, object] = {"tokenizer_class": "PreTrainedTokenizerFast", **named}
    if "tokenizer.chat_template" in file.metadata:
        config["chat_template"] = file.text("tokenizer.chat_template")
    return config


def named_tokens(file: GgufFile) -> dict[str, str]:
    """bos_token, eos_token, unk_token, pad_token: those that the file names."""
    tokens = file.texts("tokenizer.ggml.tokens")
    ids = {name: file.metadata.get(f"tokenizer.ggml.{key}_token_id") for key, name in NAMED.items()}
    return {name: tokens[id_] for name, id_ in ids.items() if isinstance(id_, int) and id_ < len(tokens)}


def named_ids(file: GgufFile) -> dict[str, int]:
    """bos_token_id, eos_token_id, pad_token_id: those that the file names."""
    tokens = {token: id_ for id_, token in enumerate(file.texts("tokenizer.ggml.tokens"))}
    named = named_tokens(file)
    return {f"{name}_id": tokens[token] for name, token in named.items() if name != "unk_token"}


def control_names(file: GgufFile) -> list[str]:
    """The file's control tokens."""
    types = file.numbers("tokenizer.ggml.token_type")
    return [token for token, kind in zip(file.texts("tokenizer.ggml.tokens"), types, strict=True) if kind == CONTROL]


def sentencepiece_bpe(
    vocabulary: Mapping[str, int],
    scores: Sequence[float | int],
    types: Sequence[int],
    *,
    unknown: str,
    adds_space: bool,
) -> Tokenizer:
    """A `tokenizers` BPE that cuts text as SentencePiece does with these pieces, scores and types, by id."""
    merges = _merges(vocabulary, scores, types)
    model = models.BPE(dict(vocabulary), merges, unk_token=unknown, fuse_unk=True, byte_fallback=BYTE in types)
    tokenizer = Tokenizer(model)
    if adds_space and USER_DEFINED not in types:
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend(SPACE), normalizers.Replace(" ", SPACE)])
    elif adds_space:  # before the first word of a text alone, wherever words that stay whole cut it
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(SPACE, prepend_scheme="first", split=False)
    else:
        tokenizer.normalizer = normalizers.Replace(" ", SPACE)
    strip = [decoders.Strip(" ", 1, 0)] if adds_space else []
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse(), *strip]
    )
    return tokenizer


def _byte_level(file: GgufFile, vocabulary: dict[str, int], types: Sequence[int]) -> Tokenizer:
    name = file.text("tokenizer.ggml.pre", "default")
    if name not in WORDS:
        raise DataError(f"{file.path}: words cut as {name!r} are not known; there is: {', '.join(WORDS)}")
    words = WORDS[name]
    pairs = [_pair(file, merge) for merge in file.texts("tokenizer.ggml.merges")]
    try:
        tokenizer = Tokenizer(models.BPE(vocabulary, pairs, ignore_merges=words.ignores_merges))
    except Exception as error:  # the library raises bare Exception for a merge outside the vocabulary
        raise DataError(f"{file.path}: merges that do not fit the vocabulary: {error}") from error
    splits = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in words.patterns]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*splits, pre_tokenizers.ByteLevel(False, use_regex=False)])
    if words.composes:
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _pair(file: GgufFile, merge: str) -> tuple[str, str]:
    at = merge.find(" ", 1)
    if at < 0:
        raise DataError(f"{file.path}: merge {merge!r} should be two parts with a blank between them")
    return merge[:at], merge[at + 1 :]


def _sentencepiece(file: GgufFile, vocabulary: dict[str, int], types: Sequence[int]) -> Tokenizer:
    scores = [float(score) for score in file.numbers("tokenizer.ggml.scores")]
    if len(scores) != len(vocabulary):
        raise DataError(f"{file.path}: {len(vocabulary)} tokens and {len(scores)} scores")
    if file.flag("tokenizer.ggml.remove_extra_whitespaces", False):
        raise DataError(f"{file.path}: a tokenizer that drops blanks cannot be rebuilt")
    unknown = named_tokens(file).get("unk_token", "<unk>")
    adds_space = file.flag("tokenizer.ggml.add_space_prefix", True)
    return sentencepiece_bpe(vocabulary, scores, types, unknown=unknown, adds_space=adds_space)


def _merges(
    vocabulary: Mapping[str, int], scores: Sequence[float | int], types: Sequence[int]
) -> list[tuple[str, str]]:
    """All pairs of pieces that make a piece, the best piece first."""
    pieces = {piece: id_ for piece, id_ in vocabulary.items() if types[id_] in (NORMAL, UNUSED)}
    ordered = sorted((id_ for id_ in pieces.values() if types[id_] == NORMAL), key=lambda id_: -scores[id_])
    texts = {id_: piece for piece, id_ in pieces.items()}
    return [pair for id_ in ordered for pair in _cuts(texts[id_], pieces)]


def _cuts(piece: str, pieces: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    for at in range(1, len(piece)):
        if piece[:at] in pieces and piece[at:] in pieces:
            yield piece[:at], piece[at:]


def _add_ends(file: GgufFile, tokenizer: Tokenizer) -> None:
    """What is put before and behind a text where special tokens are asked for."""
    named = named_tokens(file)
    begins = file.flag("tokenizer.ggml.add_bos_token", file.text("tokenizer.ggml.model") == "llama")
    first = named.get("bos_token") if begins else None
    last = named.get("eos_token") if file.flag("tokenizer.ggml.add_eos_token", False) else None
    if first or last:
        single = [part for part in (first, "$A", last) if part]
        special = [(token, tokenizer.token_to_id(token)) for token in (first, last) if token]
        tokenizer.post_processor = processors.TemplateProcessing(single=" ".join(single), special_tokens=special)
