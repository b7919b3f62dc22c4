"""Sequence classifiers: an encoder that reads a text both ways, and a head on its first token.

In: a folder as `transformers` writes it, of model_type bert, roberta, xlm-roberta or distilbert (their
...ForSequenceClassification). Out: logits by label. Pure functions; no family of language models, so that nothing here
decodes or trains. Letters as in `layers`; C labels.
Sources: BERT, arXiv 1810.04805; RoBERTa, arXiv 1907.11692; DistilBERT, arXiv 1910.01108.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree

from epigone.errors import DataError
from epigone.models import layers
from epigone.models.attributes import Attributes
from epigone.models.params import Param, normal, ones, zeros
from epigone.models.weights import load_published

_BERT_FIELDS = {
    "vocab_size": "vocab_size",
    "hidden_size": "width",
    "num_hidden_layers": "num_layers",
    "num_attention_heads": "num_heads",
    "intermediate_size": "hidden_width",
    "max_position_embeddings": "max_positions",
    "type_vocab_size": "num_types",
    "layer_norm_eps": "norm_epsilon",
    "pad_token_id": "pad_id",
}
_BERT_FIXED = {
    "hidden_act": ("gelu",),
    "position_embedding_type": (None, "absolute"),
    "is_decoder": (False,),
    "add_cross_attention": (False,),
    "pruned_heads": (None, {}),
}
_DROPPED = (
    *("hidden_dropout_prob", "attention_probs_dropout_prob", "gradient_checkpointing", "output_past"),
    *("directionality", "pooler_fc_size", "pooler_num_attention_heads", "pooler_num_fc_layers", "pooler_type"),
    *("pooler_size_per_head", "tie_word_embeddings", "language", "cls_token_id", "sep_token_id", "finetuning_task"),
    *("tie_weights_", "_num_labels", "attn_implementation"),
)
_BERT = Attributes("bert", "BertForSequenceClassification", _BERT_FIELDS, _BERT_FIXED, frozenset(_DROPPED))
_DISTILBERT = Attributes(
    "distilbert",
    "DistilBertForSequenceClassification",
    {
        "vocab_size": "vocab_size",
        "dim": "width",
        "n_layers": "num_layers",
        "n_heads": "num_heads",
        "hidden_dim": "hidden_width",
        "max_position_embeddings": "max_positions",
    },
    {"activation": ("gelu",), "pruned_heads": (None, {})},
    frozenset((*_DROPPED, "attention_dropout", "dropout", "qa_dropout", "seq_classif_dropout", "sinusoidal_pos_embds")),
)
_ATTRIBUTES = {"bert": _BERT, "roberta": _BERT, "xlm-roberta": _BERT, "distilbert": _DISTILBERT}
_BERT_NAMES = {
    "before": "bert.embeddings.LayerNorm",
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "output": "attention.output.dense",
    "attention_norm": "attention.output.LayerNorm",
    "up": "intermediate.dense",
    "down": "output.dense",
    "mlp_norm": "output.LayerNorm",
    "pool": "bert.pooler.dense",
    "head": "classifier",
}
_NAMES = {
    "bert": _BERT_NAMES,
    "roberta": _BERT_NAMES
    | {"before": "roberta.embeddings.LayerNorm", "pool": "classifier.dense", "head": "classifier.out_proj"},
    "distilbert": {
        "before": "distilbert.embeddings.LayerNorm",
        "query": "attention.q_lin",
        "key": "attention.k_lin",
        "value": "attention.v_lin",
        "output": "attention.out_lin",
        "attention_norm": "sa_layer_norm",
        "up": "ffn.lin1",
        "down": "ffn.lin2",
        "mlp_norm": "output_layer_norm",
        "pool": "pre_classifier",
        "head": "classifier",
    },
}
"""Published names of what is the same in all three; those of a layer without what stands before them."""
SURPLUS = ("embeddings.position_ids", "roberta.pooler.dense.weight", "roberta.pooler.dense.bias")
"""Tensors of older exports that no logit depends on."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What a config.json says of a classifier. Hashable: a static argument of compiled functions."""

    kind: str
    """bert, roberta or distilbert."""
    labels: tuple[str, ...]
    is_multi_label: bool
    """Labels are true or false each by itself (sigmoid), instead of one being right (softmax)."""
    width: int
    num_layers: int
    num_heads: int
    hidden_width: int
    vocab_size: int
    max_positions: int = 512
    num_types: int = 0
    norm_epsilon: float = 1e-12
    pad_id: int = 0

    @property
    def first_position(self) -> int:
        """RoBERTa counts positions from behind its padding id."""
        return self.pad_id + 1 if self.kind == "roberta" else 0

    @property
    def max_tokens(self) -> int:
        """Longest text in tokens."""
        return self.max_positions - self.first_position


class Classifier(NamedTuple):
    """A classifier's shape and its parameters."""

    shape: Shape
    params: PyTree[Float[Array, "..."]]


def load_classifier(path: Path) -> Classifier:
    """The classifier of a folder with config.json and safetensors, in fp32.

    Raises DataError for a config.json that is not computed here, ArtifactError for a missing or misshapen tensor.
    """
    shapes: list[Shape] = []

    def tree_of(attributes: Mapping[str, object]) -> PyTree[Param]:
        try:
            shapes.append(shape_of(attributes))
        except DataError as error:
            raise DataError(f"{path}: {error}") from error
        return param_tree(shapes[0])

    params = load_published(path, tree_of, SURPLUS)
    return Classifier(shapes[0], params)


def shape_of(attributes: Mapping[str, object]) -> Shape:
    """From a config.json. Raises DataError naming an attribute that is unknown, missing or not computed here."""
    model_type = str(attributes.get("model_type"))
    if model_type not in _ATTRIBUTES:
        raise DataError(f"config.json: no classifier of model_type {model_type!r}; there is: {', '.join(_ATTRIBUTES)}")
    known = _ATTRIBUTES[model_type]
    found = known.read(dict(attributes) | {"model_type": known.model_type}, Shape)
    labels = attributes.get("id2label") or {"0": "LABEL_0", "1": "LABEL_1"}
    if not isinstance(labels, Mapping):
        raise DataError(f"config.json: id2label must name a label for each number, not {labels!r}")
    names = tuple(str(labels[key]) for key in sorted(labels, key=int))
    by_itself = attributes.get("problem_type") == "multi_label_classification" or len(names) == 1
    kind = "roberta" if model_type == "xlm-roberta" else model_type
    return Shape(kind=kind, labels=names, is_multi_label=by_itself, **found)


def param_tree(shape: Shape) -> PyTree[Param]:
    """Every parameter, one line each."""
    L, D, F = shape.num_layers, shape.width, shape.hidden_width
    names = _NAMES[shape.kind]
    layer = f"{shape.kind}.{'transformer' if shape.kind == 'distilbert' else 'encoder'}.layer.{{layer}}."

    def table(num_rows: int, name: str) -> Param:
        return Param((num_rows, D), ("vocab", "width"), normal(0.02), f"{shape.kind}.embeddings.{name}.weight")

    def norm(tree: dict[str, Param], ours: str, *stack: int) -> None:
        axes = ("layers", "width") if stack else ("width",)
        name = (layer if stack else "") + names[ours]
        tree[ours] = Param((*stack, D), axes, ones, f"{name}.weight")
        tree[f"{ours}_bias"] = Param((*stack, D), axes, zeros, f"{name}.bias")

    def linear(tree: dict[str, Param], ours: str, inputs: int, outputs: int, *stack: int) -> None:
        axes = ("layers",) if stack else ()
        name = (layer if stack else "") + names[ours]
        tree[ours] = Param((*stack, inputs, outputs), (*axes, "in", "out"), normal(0.02), f"{name}.weight", True)
        tree[f"{ours}_bias"] = Param((*stack, outputs), (*axes, "out"), zeros, f"{name}.bias")

    stacked: dict[str, Param] = {}
    for ours in ("query", "key", "value", "output"):
        linear(stacked, ours, D, D, L)
    linear(stacked, "up", D, F, L)
    linear(stacked, "down", F, D, L)
    norm(stacked, "attention_norm", L)
    norm(stacked, "mlp_norm", L)
    tree: dict[str, Param] = {
        "embed": table(shape.vocab_size, "word_embeddings"),
        "positions": table(shape.max_positions, "position_embeddings"),
    }
    if shape.num_types:
        tree["types"] = table(shape.num_types, "token_type_embeddings")
    norm(tree, "before")
    linear(tree, "pool", D, D)
    linear(tree, "head", D, len(shape.labels))
    return {**tree, "layers": stacked}


@partial(jax.jit, static_argnums=0)
def logits(
    shape: Shape, params: PyTree[Float[Array, "..."]], tokens_BT: Int[Array, "B T"], read_BT: Bool[Array, "B T"]
) -> Float[Array, "B C"]:
    """Logits by label, fp32. `read_BT` is False for padding, which stands at the end of a row and nobody sees."""
    positions = jnp.arange(tokens_BT.shape[1]) + shape.first_position
    x = params["embed"][tokens_BT] + params["positions"][positions]
    if shape.num_types:
        x = x + params["types"][0]
    x = layers.layer_norm(x, params["before"], params["before_bias"], shape.norm_epsilon)
    bias_BTS = layers.bias_of(jnp.broadcast_to(read_BT[:, None], (*read_BT.shape, read_BT.shape[1])))

    def one(x: Float[Array, "B T D"], p: dict[str, Float[Array, "..."]]) -> tuple[Float[Array, "B T D"], None]:
        q, k, v = (layers.split_heads(layers.linear(x, p, name), shape.num_heads) for name in ("query", "key", "value"))
        mixed = layers.linear(layers.merge_heads(layers.attention(q, k, v, bias_BTS)), p, "output")
        x = layers.layer_norm(x + mixed, p["attention_norm"], p["attention_norm_bias"], shape.norm_epsilon)
        wide = jax.nn.gelu(layers.linear(x, p, "up"), approximate=False)
        x = layers.layer_norm(x + layers.linear(wide, p, "down"), p["mlp_norm"], p["mlp_norm_bias"], shape.norm_epsilon)
        return x, None

    x, _ = jax.lax.scan(one, x, params["layers"])
    pooled = layers.linear(x[:, 0], params, "pool")
    pooled = jax.nn.relu(pooled) if shape.kind == "distilbert" else jnp.tanh(pooled)
    return layers.linear(pooled, params, "head")


def probabilities(shape: Shape, logits_BC: Float[Array, "B C"]) -> Float[Array, "B C"]:
    """Of each label, 0-1: by itself, or among all."""
    return jax.nn.sigmoid(logits_BC) if shape.is_multi_label else jax.nn.softmax(logits_BC, axis=-1)
