"""Makes tests/parity/golden: tiny random LLaMA models, and what `transformers` computes with them.

`python tests/parity/make_golden.py FOLDER`; needs torch and transformers. A case is a checkpoint folder as
`transformers` saves it, with golden.safetensors beside the weights: tokens, logits, a greedy continuation, the mean
next-token loss and the gradients of a few weights. versions.json names the versions.
"""

import json
import sys
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM

CASES = {
    "grouped_untied": {"num_key_value_heads": 2, "tie_word_embeddings": False, "rope_theta": 500.0},
    "tied": {"num_key_value_heads": 4, "tie_word_embeddings": True},
}
GRADIENTS = (
    "model.embed_tokens.weight",
    "model.layers.0.self_attn.k_proj.weight",
    "model.layers.1.mlp.down_proj.weight",
    "model.norm.weight",
)
NUM_NEW = 12


def make_model(options: dict[str, object], seed: int = 0) -> LlamaForCausalLM:
    """A random model with weights large enough that every part shows in the logits."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=48,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=40,
        max_position_embeddings=64,
        initializer_range=0.3,
        attn_implementation="eager",
        **options,
    )
    model = LlamaForCausalLM(config).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "norm" in name:
                weight.copy_(1 + 0.3 * torch.randn_like(weight))
    return model


def compute(model: LlamaForCausalLM) -> dict[str, torch.Tensor]:
    """What the test compares with."""
    tokens = torch.randint(1, 48, (2, 14), generator=torch.Generator().manual_seed(1))
    output = model(tokens, labels=tokens)
    output.loss.backward()
    row = tokens[:1]
    with torch.no_grad():
        for _ in range(NUM_NEW):
            row = torch.cat([row, model(row, use_cache=False).logits[:, -1:].argmax(-1)], dim=1)
    weights = dict(model.named_parameters())
    return {
        "tokens": tokens.int(),
        "logits": output.logits.detach(),
        "greedy": row[:, tokens.shape[1] :].int(),
        "loss": output.loss.detach(),
    } | {f"grad/{name}": weights[name].grad for name in GRADIENTS}


def main(folder: Path) -> None:
    """Write every case under `folder`."""
    for name, options in CASES.items():
        model = make_model(options)
        model.save_pretrained(folder / name)
        save_file(
            {key: value.contiguous().clone() for key, value in compute(model).items()},
            folder / name / "golden.safetensors",
        )
    versions = {
        "transformers": transformers.__version__,
        "torch": torch.__version__,
        "script": "tests/parity/make_golden.py",
    }
    (folder / "versions.json").write_text(json.dumps(versions, indent=2) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
