"""A SentencePiece tokenizer.model, as LLaMA 1 and 2 were published with, rebuilt as a tokenizer of `tokenizers`.

In: the file, a serialised protocol buffer, of which the few fields that matter are read. Out: a BPE that cuts text into
the same pieces. Other kinds (unigram, normalised text, dropped blanks, words that stay whole) are refused by name.
Source: https://github.com/google/sentencepiece/blob/master/src/sentencepiece_model.proto
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import tokenizers
from tokenizers import AddedToken

from epigone.errors import DataError
from epigone.tokens.gguf_tokenizer import CONTROL, NORMAL, UNKNOWN, USER_DEFINED, sentencepiece_bpe

Field = int | float | bytes
Fields = dict[int, list[Field]]
_KINDS = {1: "unigram", 2: "bpe", 3: "word", 4: "char"}
_VARINT, _EIGHT_BYTES, _BYTES, _FOUR_BYTES = 0, 1, 2, 5


@dataclass(frozen=True)
class Pieces:
    """What a tokenizer.model says; lists are by id."""

    texts: Sequence[str]
    scores: Sequence[float]
    types: Sequence[int]
    adds_space: bool


def load_sentencepiece(path: Path) -> tokenizers.Tokenizer:
    """The tokenizer of a tokenizer.model. Raises DataError for a damaged file, and naming what is not rebuilt here."""
    try:
        pieces = _read(path.read_bytes())
    except (ValueError, IndexError, struct.error) as error:
        raise DataError(f"{path}: no whole SentencePiece model ({error})") from error
    except DataError as error:
        raise DataError(f"{path}: {error}; take the tokenizer.json that goes with the model") from error
    vocabulary = {text: id_ for id_, text in enumerate(pieces.texts)}
    unknown = [text for text, kind in zip(pieces.texts, pieces.types, strict=True) if kind == UNKNOWN]
    if len(vocabulary) != len(pieces.texts) or len(unknown) != 1:
        raise DataError(
            f"{path}: {len(pieces.texts)} pieces, {len(vocabulary)} different, {len(unknown)} for the unknown"
        )
    tokenizer = sentencepiece_bpe(
        vocabulary, pieces.scores, pieces.types, unknown=unknown[0], adds_space=pieces.adds_space
    )
    control = [text for text, kind in zip(pieces.texts, pieces.types, strict=True) if kind in (CONTROL, UNKNOWN)]
    tokenizer.add_special_tokens([AddedToken(text, normalized=False, special=True) for text in control])
    return tokenizer


def _read(data: bytes) -> Pieces:
    model = _fields(data)
    trainer, normalizer = (_fields(model.get(number, [b""])[-1]) for number in (2, 3))
    if (kind := int(_number(trainer, 3, 1))) != 2:
        raise DataError(f"pieces of kind {_KINDS.get(kind, kind)} are not rebuilt, only bpe")
    if normalizer.get(2, [b""])[-1]:
        raise DataError(f"text normalised by {_text(normalizer, 1)!r} is not rebuilt, only identity")
    if _number(normalizer, 4, 1):
        raise DataError("a tokenizer that drops blanks is not rebuilt")
    pieces = [_fields(piece) for piece in model.get(1, [])]
    types = [int(_number(piece, 3, NORMAL)) for piece in pieces]
    if USER_DEFINED in types:
        raise DataError("words that stay whole (user-defined symbols) are not rebuilt")
    return Pieces(
        texts=[_text(piece, 1) for piece in pieces],
        scores=[_number(piece, 2, 0.0) for piece in pieces],
        types=types,
        adds_space=bool(_number(normalizer, 3, 1)),
    )


def _fields(data: Field) -> Fields:
    """Every field of a message by its number, in order; none of what is no message."""
    found: Fields = {}
    for number, value in _entries(data if isinstance(data, bytes) else b""):
        found.setdefault(number, []).append(value)
    return found


def _entries(data: bytes) -> Iterator[tuple[int, Field]]:
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        wire = tag & 7
        if wire == _VARINT:
            value, at = _varint(data, at)
        elif wire in (_FOUR_BYTES, _EIGHT_BYTES):
            size = 4 if wire == _FOUR_BYTES else 8
            (value,), at = struct.unpack_from("<f" if size == 4 else "<d", data, at), at + size
        elif wire == _BYTES:
            size, at = _varint(data, at)
            value, at = data[at : at + size], at + size
            if at > len(data):
                raise ValueError("it ends within a field")
        else:
            raise ValueError(f"byte {at} begins no field")
        yield tag >> 3, value


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value, shift, at = value | (byte & 127) << shift, shift + 7, at + 1
        if byte < 128:
            return value, at


def _text(fields: Fields, number: int) -> str:
    value = fields.get(number, [b""])[-1]
    return value.decode() if isinstance(value, bytes) else ""


def _number(fields: Fields, number: int, default: float) -> float:
    value = fields.get(number, [default])[-1]
    return default if isinstance(value, bytes) else value
