"""Makes tests/parity/golden: a tiny random model of each family, and what `transformers` computes with it.

`python tests/parity/make_golden.py FOLDER`; needs torch and transformers. A case is a checkpoint folder as
`transformers` saves it (bfloat16), with golden.safetensors beside the weights: tokens, logits, a greedy continuation,
the mean next-token loss and the gradients of a few weights, all in fp32. versions.json names the versions.
"""

import json
import sys
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

VOCAB_SIZE, LENGTH, NUM_NEW = 48, 14, 12
SHAPE = {
    "vocab_size": VOCAB_SIZE,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 64,
}
PLAIN = {key: value for key, value in SHAPE.items() if key != "num_key_value_heads"}
SLIDING_THEN_FULL = ["sliding_attention", "full_attention"]
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 24,
}
CASES: dict[str, tuple[str, dict[str, object]]] = {
    "gpt2": ("gpt2", {key: value for key, value in PLAIN.items() if key != "intermediate_size"}),
    "gpt_neox": ("gpt_neox", PLAIN | {"rotary_pct": 0.5}),
    "gpt_neox_in_line": ("gpt_neox", PLAIN | {"rotary_pct": 0.5, "use_parallel_residual": False}),
    "llama_grouped_untied": ("llama", SHAPE | {"rope_theta": 500.0}),
    "llama_tied": ("llama", SHAPE | {"num_key_value_heads": 4, "tie_word_embeddings": True}),
    "llama_llama3_rope": ("llama", SHAPE | {"head_dim": 8, "rope_scaling": LLAMA3, "rope_theta": 100.0}),
    "llama_linear_rope": ("llama", SHAPE | {"rope_scaling": {"rope_type": "linear", "factor": 4.0}}),
    "mistral": ("mistral", SHAPE | {"sliding_window": 5}),
    "qwen2": ("qwen2", SHAPE | {"use_sliding_window": True, "sliding_window": 5, "max_window_layers": 1}),
    "qwen3": ("qwen3", SHAPE | {"head_dim": 8, "tie_word_embeddings": True}),
    "smollm3": ("smollm3", SHAPE | {"no_rope_layer_interval": 2}),
    "gemma3_text": (
        "gemma3_text",
        SHAPE
        | {
            "head_dim": 8,
            "query_pre_attn_scalar": 11,
            "layer_types": SLIDING_THEN_FULL,
            "sliding_window": 5,
            "rope_theta": 500.0,
            "rope_local_base_freq": 20.0,
        },
    ),
}
GATED = (
    "model.embed_tokens.weight",
    "model.layers.0.self_attn.k_proj.weight",
    "model.layers.1.mlp.down_proj.weight",
    "model.norm.weight",
)
GRADIENTS = {
    "gpt2": (
        "transformer.wpe.weight",
        "transformer.h.0.attn.c_attn.weight",
        "transformer.h.1.attn.c_attn.bias",
        "transformer.h.1.mlp.c_proj.weight",
    ),
    "gpt_neox": (
        "gpt_neox.embed_in.weight",
        "gpt_neox.layers.0.attention.query_key_value.weight",
        "gpt_neox.layers.1.attention.query_key_value.bias",
        "gpt_neox.layers.1.post_attention_layernorm.bias",
    ),
    "qwen2": (*GATED[:3], "model.layers.1.self_attn.q_proj.bias"),
    "qwen3": (*GATED[:3], "model.layers.1.self_attn.k_norm.weight"),
    "gemma3_text": (*GATED[:3], "model.layers.0.post_feedforward_layernorm.weight"),
}


def make_model(family: str, options: dict[str, object], seed: int = 0) -> PreTrainedModel:
    """A random model with weights large enough that every part shows in the logits, all of them bfloat16 numbers."""
    torch.manual_seed(seed)
    config = AutoConfig.for_model(
        family, initializer_range=0.3, bos_token_id=None, eos_token_id=None, pad_token_id=None, **options
    )
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim == 1:  # norms and biases, which start as 1 and 0
                weight.add_(0.3 * torch.randn_like(weight))
            weight.copy_(weight.bfloat16())
    return model


def compute(model: PreTrainedModel, family: str) -> dict[str, torch.Tensor]:
    """What the test compares with."""
    tokens = torch.randint(1, VOCAB_SIZE, (2, LENGTH), generator=torch.Generator().manual_seed(1))
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
    } | {f"grad/{name}": weights[name].grad.clone() for name in GRADIENTS.get(family, GATED)}


def main(folder: Path) -> None:
    """Write every case under `folder`."""
    for name, (family, options) in CASES.items():
        model = make_model(family, options)
        golden = compute(model, family)
        model.bfloat16().save_pretrained(folder / name)
        (folder / name / "generation_config.json").unlink(missing_ok=True)
        save_file({k: v.contiguous().clone() for k, v in golden.items()}, folder / name / "golden.safetensors")
    versions = {
        "transformers": transformers.__version__,
        "torch": torch.__version__,
        "script": "tests/parity/make_golden.py",
    }
    (folder / "versions.json").write_text(json.dumps(versions, indent=2) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
