"""Text <-> token ids, by a Hugging Face tokenizer.json.

In: the tokenizer.json of any model, its GGUF file, or a SentencePiece tokenizer.model. Out: plain ids. Text is only
ever text: a control token (`<|end|>`, `<s>` ...) that is spelt out inside it never becomes that token's id; whoever
wants the token asks for `id("<|end|>")`. Source: https://huggingface.co/docs/tokenizers (file format).
"""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import tokenizers

from epigone.errors import DataError, SpecError
from epigone.gguf_file import find_gguf, open_gguf
from epigone.tokens.gguf_tokenizer import tokenizer_of
from epigone.tokens.sentencepiece_model import load_sentencepiece

SENTENCEPIECE = "tokenizer.model"
GUARDS = ("\x01", "\n", "x")
"""What text is encoded behind, and then taken off again, where a tokenizer would put a blank before it."""


@dataclass(frozen=True)
class Tokenizer:
    """A loaded tokenizer.json. Control tokens are its special added tokens, but for the one for unknown words."""

    backend: tokenizers.Tokenizer

    @classmethod
    def load(cls, path: Path) -> "Tokenizer":
        """From a tokenizer.json, a .gguf file, a SentencePiece .model file, or a folder that holds one of them.

        Raises DataError where there is none or it is broken.
        """
        file = path / "tokenizer.json" if path.is_dir() else path
        if not (path.is_dir() and file.exists()) and (found := find_gguf(path)):
            return cls(tokenizer_of(open_gguf(found)))
        if path.is_dir() and not file.exists() and (path / SENTENCEPIECE).is_file():
            file = path / SENTENCEPIECE
        if file.suffix == ".model" and file.is_file():
            return cls(load_sentencepiece(file))
        if not file.is_file():
            raise DataError(f"{file}: no such file; expected a Hugging Face tokenizer.json or a folder that holds one")
        try:
            backend = tokenizers.Tokenizer.from_file(str(file))
        except Exception as error:  # the library raises bare Exception for whatever is wrong in the file
            raise DataError(f"{file}: not a Hugging Face tokenizer.json: {error}") from error
        backend.no_truncation()
        backend.no_padding()
        return cls(backend)

    def __post_init__(self) -> None:
        """Spelt-out added tokens are text from here on (word-level vocabularies need `_as_text` on top)."""
        self.backend.encode_special_tokens = True

    @property
    def vocab_size(self) -> int:
        """Number of ids, added tokens included."""
        return self.backend.get_vocab_size(with_added_tokens=True)

    @cached_property
    def control_ids(self) -> frozenset[int]:
        """Ids that `encode` never gives."""
        unknown = getattr(self.backend.model, "unk_token", None)
        added = self.backend.get_added_tokens_decoder()
        return frozenset(id_ for id_, token in added.items() if token.special and token.content != unknown)

    @cached_property
    def opening(self) -> tuple[int, ...]:
        """Ids that the model was trained to see before any text, such as `<bos>`; empty for most.

        `encode` never puts them there: whoever asks for a text's continuation or likelihood does.
        """
        with_ends = self.backend.encode("a", add_special_tokens=True).ids
        bare = self.backend.encode("a", add_special_tokens=False).ids
        starts = [at for at in range(len(with_ends)) if with_ends[at : at + len(bare)] == bare]
        return tuple(with_ends[: starts[0]]) if starts else ()

    def id(self, token: str) -> int:
        """The id of one vocabulary entry. Raises SpecError where it is absent."""
        found = self.backend.token_to_id(token)
        if found is None:
            control = sorted(str(self.backend.id_to_token(i)) for i in self.control_ids)
            raise SpecError(f"the tokenizer has no token {token!r}; its control tokens: {', '.join(control) or 'none'}")
        return found

    def encode(self, text: str) -> list[int]:
        """Ids of the text; nothing is put before or after it."""
        return self.encode_batch([text])[0]

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of every text, in order."""
        encoded = [e.ids for e in self.backend.encode_batch_fast(list(texts), add_special_tokens=False)]
        return [
            ids if self.control_ids.isdisjoint(ids) else self._as_text(text)
            for text, ids in zip(texts, encoded, strict=True)
        ]

    def encode_stretches(self, stretches: Sequence[tuple[str, str]]) -> list[list[int]]:
        """Ids of every text, each with what stands right before it: `start`, `control` (a control token) or `text`.

        A tokenizer that puts a blank before the first word (SentencePiece) does so only where it would within the
        whole: never behind other text.
        """
        bare = {"text": self._puts_blank, "control": self._puts_blank_at_start_alone}
        alone = [not bare.get(before, False) for _, before in stretches]
        encoded = iter(self.encode_batch([text for (text, _), is_alone in zip(stretches, alone) if is_alone]))
        behind = iter(self._encode_behind([text for (text, _), is_alone in zip(stretches, alone) if not is_alone]))
        return [next(encoded if is_alone else behind) for is_alone in alone]

    def _encode_behind(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of every text as it stands behind other text: encoded behind a guard, which is then cut off."""
        found: dict[int, list[int]] = {}
        for guard in GUARDS:
            left = [number for number in range(len(texts)) if number not in found]
            cut = self.encode(guard)
            for number, ids in zip(left, self.encode_batch([f"{guard}{texts[number]}" for number in left])):
                if ids[: len(cut)] == cut:  # else it melted into what follows
                    found[number] = ids[len(cut) :]
        return [found[number] if number in found else self.encode(text) for number, text in enumerate(texts)]

    @cached_property
    def _puts_blank(self) -> bool:
        """Whether a text's ids are others at the start than behind other text."""
        return self._encode_behind([", a"])[0] != self.encode(", a")

    @cached_property
    def _puts_blank_at_start_alone(self) -> bool:
        """Whether the blank is missing behind a control token too: some tokenizers put one there, some do not."""
        control = next(iter(sorted(self.control_ids)), None)
        if control is None or not self._puts_blank:
            return self._puts_blank
        with self._reading_control_tokens():
            behind = self.backend.encode(f"{self.backend.id_to_token(control)}, a", add_special_tokens=False).ids
        return behind != [control, *self.encode(", a")]

    @contextmanager
    def _reading_control_tokens(self) -> Generator[None, None, None]:
        self.backend.encode_special_tokens = False
        try:
            yield
        finally:
            self.backend.encode_special_tokens = True

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids, without control tokens."""
        return self.backend.decode(list(ids), skip_special_tokens=True)

    def _as_text(self, text: str) -> list[int]:
        """Ids of a text that spells out control tokens: a blank after their first character breaks them up."""
        encoding = self.backend.encode(text, add_special_tokens=False)
        for id_, (start, _) in reversed(list(zip(encoding.ids, encoding.offsets, strict=True))):
            if id_ in self.control_ids:
                text = f"{text[: start + 1]} {text[start + 1 :]}"
        ids = self.backend.encode(text, add_special_tokens=False).ids
        return [id_ for id_ in ids if id_ not in self.control_ids]  # a control token of one character cannot be broken
