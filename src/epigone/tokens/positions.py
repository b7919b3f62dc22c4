"""How long a sequence a model can take, and what to do where a block is longer.

In: a model's config.json or .gguf file, or the number itself. Out: nothing, or a refusal that names the ways out. GPT-2
has 1,024 positions, and the paper's blocks are 2,048 tokens long. Source: the paper, section 4.1;
https://huggingface.co/docs/transformers/main_classes/configuration (names of the attribute by family).
"""

import json
from pathlib import Path

from epigone.errors import DataError, SpecError
from epigone.gguf_file import find_gguf, open_gguf

NAMES = ("max_position_embeddings", "n_positions", "max_sequence_length", "max_seq_len", "n_ctx", "seq_length")
"""What model families call it."""


def positions_of(path: Path) -> int:
    """The positions that a config.json (or a folder that holds one) or a .gguf file tells of.

    Raises DataError where it is neither, SpecError where it says nothing of positions.
    """
    file = path / "config.json" if path.is_dir() else path
    if not file.exists() and (found := find_gguf(path)):
        file = found
    if file.suffix == ".gguf":
        header = open_gguf(file)
        return int(header.number(f"{header.text('general.architecture')}.context_length"))
    try:
        config: object = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: cannot be read as a model's config.json ({error})") from error
    if not isinstance(config, dict):
        raise DataError(f"{file}: holds no JSON object; give a model's config.json")
    for part in (config, config.get("text_config")):
        for name in NAMES:
            if isinstance(part, dict) and isinstance(part.get(name), int):
                return part[name]
    raise SpecError(f"{file} does not say how many positions the model has ({', '.join(NAMES)}); give max_positions")


def check_fits(length: int, max_positions: int) -> None:
    """Raise SpecError where a block is longer than the positions (0: not known)."""
    if max_positions and length > max_positions:
        raise SpecError(
            f"a block of {length} tokens is longer than the model's {max_positions} positions. Ways out: blocks of at "
            f"most {max_positions} tokens (length), another model, or a config whose rope scaling raises its positions"
        )
