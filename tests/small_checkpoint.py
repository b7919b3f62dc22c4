"""A base model as others publish it: random weights, about one token a byte, ChatML's tokens, a `<s>` in front."""

import json
from pathlib import Path

import jax
import tokenizers
from tokenizers import decoders, models, pre_tokenizers, processors

from epigone.models import family as families
from epigone.models import gpt2, llama
from epigone.models import params as parameters
from epigone.models.weights import save_checkpoint

CONTROL = ("<pad>", "<s>", "</s>", "<|im_start|>", "<|im_end|>")


def small_base(
    folder: Path,
    *,
    opens: bool = True,
    template: str = "",
    max_positions: int = 256,
    seed: int = 3,
    family: str = "llama",
    num_layers: int = 1,
) -> Path:
    """A folder with config.json, weights and tokenizer; `opens`: every text begins with `<s>`; `family` llama or gpt2,
    whose tokenizer has `<|endoftext|>` besides.
    """
    control = (*CONTROL, "<|endoftext|>") if family == "gpt2" else CONTROL
    vocabulary = {character: i for i, character in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    vocabulary["th"] = len(vocabulary)
    backend = tokenizers.Tokenizer(models.BPE(vocabulary, [("t", "h")]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens(list(control))
    if opens:
        special = [("<s>", backend.token_to_id("<s>"))]
        backend.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=special)
    folder.mkdir(parents=True, exist_ok=True)
    shape = {"width": 16, "num_layers": num_layers, "num_heads": 2, "max_positions": max_positions}
    shape |= {"vocab_size": len(vocabulary) + len(control), "hidden_width": 24}
    config = gpt2.Config(**shape) if family == "gpt2" else llama.Config(**shape, num_kv_heads=2)
    params = parameters.init(families.of_config(config).param_tree(config), jax.random.key(seed))
    ids = {f"{name}_token_id": backend.token_to_id(token) for name, token in (("bos", "<s>"), ("eos", "</s>"))}
    save_checkpoint(folder, config, params, token_ids=ids)
    backend.save(str(folder / "tokenizer.json"))
    named = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>"}
    if template:
        named["chat_template"] = template
    (folder / "tokenizer_config.json").write_text(json.dumps(named))
    return folder
