"""Sequence classifiers against `transformers`: tiny random ones, made here, with padding, long texts and both heads."""

from pathlib import Path

import numpy as np
import pytest
import tokenizers

from epigone.errors import ArtifactError, DataError, SpecError
from epigone.models import encoder
from epigone.models import params as parameters
from epigone.toxicity.sequence_classifier import SequenceClassifier

torch = pytest.importorskip("torch", reason="the oracle of this test is transformers on torch")
transformers = pytest.importorskip("transformers")

WORDS = ["you", "are", "a", "dear", "friend", "idiot", "who", "said", "that", "[MASK]", ",", ".", "!", "and", "more"]
TEXTS = ["you idiot !", "dear friend", "unheard words", " ".join(WORDS * 9), "", "[CLS] you [SEP] <s>", "that"]
MANY = {"num_labels": 3, "id2label": {0: "calm", 1: "Toxic", 2: "rude"}, "problem_type": "multi_label_classification"}
TWO = {"num_labels": 2, "id2label": {0: "neutral", 1: "toxic"}}
SMALL = {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 24}
DISTIL = {"vocab_size": 40, "dim": 16, "n_layers": 2, "n_heads": 4, "hidden_dim": 24, "max_position_embeddings": 24}
CASES = {
    "bert": ("Bert", SMALL | MANY | {"max_position_embeddings": 24}),
    "roberta": ("Roberta", SMALL | TWO | {"max_position_embeddings": 26, "pad_token_id": 1, "type_vocab_size": 1}),
    "xlm-roberta": ("XLMRoberta", SMALL | MANY | {"max_position_embeddings": 26, "pad_token_id": 1}),
    "distilbert": ("DistilBert", DISTIL | TWO),
}


@pytest.fixture(params=CASES)
def made(request: pytest.FixtureRequest, tmp_path: Path):
    """The oracle, and the folder that it was saved to, with a tokenizer.json."""
    kind, options = CASES[request.param]
    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(**options)
    model = getattr(transformers, f"{kind}ForSequenceClassification")(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():  # as made, heads and biases are all but 0
            parameter.copy_(torch.randn_like(parameter))
    model.save_pretrained(tmp_path)
    tokenizer(request.param).save(str(tmp_path / "tokenizer.json"))
    return model, tmp_path


def tokenizer(kind: str) -> tokenizers.Tokenizer:
    first, last, pad = ("<s>", "</s>", "<pad>") if "roberta" in kind else ("[CLS]", "[SEP]", "[PAD]")
    order = [first, pad, last, "[UNK]"] if "roberta" in kind else [pad, first, last, "[UNK]"]
    vocabulary = {word: number for number, word in enumerate(dict.fromkeys([*order, *WORDS]))}
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="[UNK]"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    made.add_special_tokens([first, last, pad])
    made.post_processor = tokenizers.processors.TemplateProcessing(
        single=f"{first} $A {last}", special_tokens=[(name, vocabulary[name]) for name in (first, last)]
    )
    return made


def oracle(model, rows: list[list[int]]) -> np.ndarray:
    """Logits row by row, so that no padding is involved."""
    with torch.no_grad():
        return np.concatenate([model(input_ids=torch.tensor([row])).logits.numpy() for row in rows])


def test_logits_and_scores(made) -> None:
    model, folder = made
    scorer = SequenceClassifier(folder)
    rows = [scorer._encode(text) for text in TEXTS]
    expected = oracle(model, rows)
    shape, params = encoder.load_classifier(folder)
    assert max(map(len, rows)) == shape.max_tokens == 24, "the long text is cut"
    tokens, read = np.full((len(rows), 24), shape.pad_id), np.zeros((len(rows), 24), bool)
    for number, row in enumerate(rows):
        tokens[number, : len(row)], read[number, : len(row)] = row, True
    found = np.asarray(encoder.logits(shape, params, tokens, read))
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert np.ptp(expected, axis=0).min() > 0.05, "the texts are told apart"
    scores = scorer.toxicity(TEXTS)
    by_itself = model.config.problem_type == "multi_label_classification"
    logits = torch.tensor(expected)
    chances = torch.sigmoid(logits) if by_itself else torch.softmax(logits, dim=-1)
    assert scores[4] is None
    for number in (0, 1, 2, 3, 5, 6):
        assert scores[number] == pytest.approx(chances[number, 1].item(), abs=1e-4)
    assert scorer.toxicity(TEXTS[::-1] * 6)[:7] == pytest.approx(scores[::-1], abs=1e-4, nan_ok=True)


def test_bad_folders(made, tmp_path: Path) -> None:
    _, folder = made
    scorer = SequenceClassifier(folder, label="insult")
    with pytest.raises(SpecError, match=r"no label 'insult'; config.json has: (calm, Toxic, rude|neutral, toxic)\."):
        scorer.toxicity(["you"])
    before = SequenceClassifier(folder).identity
    assert before.startswith("sequence_classifier toxic ") and before != scorer.identity
    config = folder / "config.json"
    text = config.read_text()
    config.write_text(text.replace('"gelu"', '"swish"'))
    with pytest.raises(DataError, match=r"(hidden_act|activation)='gelu' only, not 'swish'"):
        SequenceClassifier(folder).toxicity(["you"])
    config.write_text(text.replace('"model_type": "', '"model_type": "de'))
    with pytest.raises(DataError, match=r"no classifier of model_type 'de.*there is: bert, roberta"):
        SequenceClassifier(folder).toxicity(["you"])
    assert SequenceClassifier(folder).identity != before
    config.write_text(text)
    (folder / "model.safetensors").unlink()
    with pytest.raises(ArtifactError, match=r"model\.safetensors is missing"):
        SequenceClassifier(folder).toxicity(["you"])


def test_a_config_as_they_are_published() -> None:
    """The keys of older exports, as those of BERT classifiers with several independent labels have them."""
    labels = ["toxic", "severe", "obscene", *(f"l{number}" for number in range(3, 11))]
    told = {
        "_name_or_path": "bert-base-uncased", "architectures": ["BertForSequenceClassification"],
        "attention_probs_dropout_prob": 0.1, "classifier_dropout": None, "gradient_checkpointing": False,
        "hidden_act": "gelu", "hidden_dropout_prob": 0.1, "hidden_size": 768,
        "id2label": {str(number): name for number, name in enumerate(labels)},
        "initializer_range": 0.02, "intermediate_size": 3072, "label2id": {}, "layer_norm_eps": 1e-12,
        "max_position_embeddings": 512, "model_type": "bert", "num_attention_heads": 12, "num_hidden_layers": 12,
        "pad_token_id": 0, "position_embedding_type": "absolute", "problem_type": "multi_label_classification",
        "pruned_heads": {}, "torch_dtype": "float32", "transformers_version": "4.9.0", "type_vocab_size": 2,
        "use_cache": True, "vocab_size": 30522,
    }  # fmt: skip
    shape = encoder.shape_of(told)
    assert shape.is_multi_label and shape.labels[2] == "obscene" and shape.labels[10] == "l10"
    assert parameters.num_params(encoder.param_tree(shape)) == 109_482_240 + 11 * 769  # BERT base, and the head
    assert not encoder.shape_of(told | {"problem_type": None}).is_multi_label
    assert encoder.shape_of(told | {"problem_type": None, "id2label": {"0": "toxicity"}}).is_multi_label
    for key, value in (("pruned_heads", {"0": [1]}), ("position_embedding_type", "relative_key"), ("odd", 1)):
        with pytest.raises(DataError, match=key):
            encoder.shape_of(told | {key: value})
