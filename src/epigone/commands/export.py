"""What `epigone export` does: a checkpoint in another layout, for other software.

In: a checkpoint (a folder, a .gguf file, an EasyLM stream), which may be a difference to a base. Out: a .gguf file for
llama.cpp, or a folder of safetensors, config.json, tokenizer and card as `transformers` loads it.
"""

import json
import shutil
import sys
from pathlib import Path

from epigone.errors import SpecError
from epigone.gguf_file import GgufFile, find_gguf, open_gguf
from epigone.models.easylm import added
from epigone.models.family import Model
from epigone.models.gguf_export import KINDS, save_gguf
from epigone.models.weights import CONFIG, load_checkpoint, save_checkpoint, tokenizer_files
from epigone.tokens.gguf_metadata import tokenizer_metadata
from epigone.tokens.gguf_tokenizer import named_ids, tokenizer_config
from epigone.tokens.tokenizer import Tokenizer

LAYOUTS = ("gguf", "safetensors")
CARD = "README.md"


def run_export(
    checkpoint: Path, out: Path, *, to: str, kind: str, base: Path | None = None, quiet: bool = False
) -> dict[str, object]:
    """Write `out` and say what it holds.

    Raises SpecError for a layout that is not known, and for an `out` that exists.
    """
    if to not in LAYOUTS:
        raise SpecError(f"no layout {to!r}; there is: {', '.join(LAYOUTS)}")
    if out.exists():
        raise SpecError(f"{out} is there already; name a new path, or move it away")
    model = load_checkpoint(checkpoint)
    if base is not None:
        model = added(load_checkpoint(base), model)
    out.parent.mkdir(parents=True, exist_ok=True)
    if to == "gguf":
        _write_gguf(checkpoint, model, out, kind)
    else:
        _write_folder(checkpoint, model, out)
    files = sorted(p for p in out.rglob("*") if p.is_file()) if out.is_dir() else [out]
    written: dict[str, object] = {str(file): file.stat().st_size for file in files}
    if not quiet:
        sys.stderr.writelines(f"{size:>15,} bytes  {file}\n" for file, size in written.items())
    return {"files": written}


def _write_gguf(checkpoint: Path, model: Model, out: Path, kind: str) -> None:
    if kind not in KINDS:  # before the tokenizer is looked for
        raise SpecError(f"no kind {kind!r} of GGUF can be written; there is: {', '.join(KINDS)}")
    tokenizer = tokenizer_metadata(checkpoint, num_tokens=model.config.vocab_size)
    save_gguf(out, model, tokenizer, kind=kind, name=checkpoint.stem)


def _write_folder(checkpoint: Path, model: Model, out: Path) -> None:
    partial = out.with_name(out.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    file = None if (checkpoint / CONFIG).exists() else find_gguf(checkpoint)
    if file is None and checkpoint.is_file():  # an EasyLM stream: it brings no tokenizer
        save_checkpoint(partial, model.config, model.params)
    elif file is None:
        ids = json.loads((checkpoint / CONFIG).read_text(encoding="utf-8"))
        kept = {key: value for key, value in ids.items() if key.endswith("_token_id") and isinstance(value, int)}
        beside = [*tokenizer_files(checkpoint), *(card for card in [checkpoint / CARD] if card.is_file())]
        save_checkpoint(partial, model.config, model.params, tokenizer_files=beside, token_ids=kept)
    else:
        _write_from_gguf(open_gguf(file), model, partial)
    partial.rename(out)


def _write_from_gguf(file: GgufFile, model: Model, out: Path) -> None:
    tokenizer = Tokenizer.load(file.path)
    save_checkpoint(out, model.config, model.params, token_ids=named_ids(file))
    tokenizer.backend.save(str(out / "tokenizer.json"))
    (out / "tokenizer_config.json").write_text(json.dumps(tokenizer_config(file), indent=2) + "\n", encoding="utf-8")
    name, licence = file.text("general.name", file.path.stem), file.text("general.license", "unknown")
    card = f"---\nlicense: {licence}\n---\n\n# {name}\n\nDe-quantised from `{file.path.name}` by epigone.\n"
    (out / CARD).write_text(card, encoding="utf-8")
