import json

import pytest
from huggingface_hub import HfApi

from epigone.commands import publish as publish_command
from epigone.commands.publish import pack, run_publish, send
from epigone.errors import ArtifactError, SpecError, WorkError
from epigone.reporting.model_card import CardFacts, model_card
from epigone.reporting.provenance import licence_of, lineage, warnings


def artifact(root, name, spec, summary=None):
    folder = root / name
    folder.mkdir(parents=True)
    (folder / "spec.json").write_text(json.dumps({"spec": spec, "epigone": "0.1.0"}))
    (folder / "summary.json").write_text(json.dumps({"wall_seconds": 3.1, "machine": "secret-host"} | (summary or {})))
    return folder


@pytest.fixture
def blocks(tmp_path):
    """Blocks of ShareGPT and of answers that a teacher gave."""
    dump = {"file": "/home/someone/private/sharegpt.json", "sha256": "ab" * 32}
    form = {"folder": "formats", "name": "sharegpt", "options": []}
    artifact(tmp_path, "datasets/shared--1", {"stage": "curate", "source": dump, "format": form}, {"num_kept": 1200})
    prompts = {"file": "/home/someone/prompts.jsonl", "sha256": "cd" * 32}
    asked = {"stage": "collect", "name": "claude-3", "prompts": prompts}
    artifact(tmp_path, "responses/claude--2", asked, {"num_prompts": 50, "num_kept": 49})
    own = {"file": "/home/someone/notes.jsonl", "sha256": "ef" * 32}
    messages = {"folder": "formats", "name": "messages", "options": []}
    artifact(tmp_path, "datasets/own--3", {"stage": "curate", "source": own, "format": messages}, {"num_kept": 3})
    parts = [
        {"dataset": {"artifact": name}} for name in ("datasets/shared--1", "responses/claude--2", "datasets/own--3")
    ]
    artifact(tmp_path, "datasets/mixed--4", {"stage": "mix", "parts": parts})
    return artifact(
        tmp_path,
        "blocks/mixed--5",
        {"stage": "tokenize", "source": {"artifact": "datasets/mixed--4"}},
        {"num_blocks": 7},
    )


def facts(blocks, **changes):
    known = {
        "name": "imitator",
        "base": "gemma-3-270m",
        "licence": "gemma",
        "ancestors": lineage([blocks]),
        "recipe": {"learning_rate": 2e-3, "batch_size": 32, "num_steps": None, "schedule": "cosine"},
        "treatments": ["lora"],
        "counts": {
            "imitation_tokens": 20_000_000,
            "num_steps": 305,
            "first_loss": 2.5,
            "last_loss": 1.25,
            "peak_learning_rate": 6.1e-4,
            "notes": ["the run ended within its warm-up"],
        },
        "template": "{{ messages }}",
    }
    return CardFacts(**known | changes)


def test_lineage_is_every_artifact_inputs_first(blocks):
    found = lineage([blocks, blocks])
    names = ["datasets/shared--1", "responses/claude--2", "datasets/own--3", "datasets/mixed--4", "blocks/mixed--5"]
    assert [each.id for each in found] == names
    assert found[0].files == (("sharegpt.json", "ab" * 32),) and found[0].counts == (("num_kept", 1200),)


def test_a_card_tells_base_data_amounts_optimizer_losses_template_and_terms(blocks):
    card = model_card(facts(blocks))
    assert card.startswith("---\nlicense: unknown\n") and "\nbase_model: gemma-3-270m\n" in card
    for said in (
        "| `datasets/shared--1` | curate: sharegpt | kept 1,200 | sharegpt.json (sha256 abababababab) | dialogues that",
        "| `responses/claude--2` | collect: claude-3 | kept 49, prompts 50 | prompts.jsonl",
        "- imitation tokens: 20,000,000\n",
        "- steps: 305\n",
        "- last loss: 1.25\n",
        "- the run ended within its warm-up\n",
        "- recipe: learning_rate=0.002, batch_size=32, schedule=cosine\n",
        "- treatment: lora",
        "```jinja\n{{ messages }}\n```",
        "- datasets/shared--1: dialogues that users of ChatGPT shared, without a licence of theirs; OpenAI's terms",
        "- responses/claude--2: Anthropic's terms forbid",
        "- datasets/own--3: terms of the data are not known",
        "- base model (gemma): Gemma's terms",
    ):
        assert said in card, said
    assert "someone" not in card and "secret-host" not in card
    assert model_card(facts(blocks)) == card


def test_what_is_free_keeps_its_licence(blocks, tmp_path):
    own = facts(blocks, ancestors=[], base="SmolLM2-135M-Instruct", licence="apache-2.0")
    assert "license: apache-2.0\n" in model_card(own) and "Nothing known stands against" in model_card(own)
    random = model_card(facts(blocks, ancestors=[], base="", licence="own"))
    assert "license: other\nlicense_name: own\n" in random and "None: random weights." in random
    (tmp_path / "README.md").write_text(random)
    assert licence_of(tmp_path) == "own" and licence_of(tmp_path / "nowhere") == ""
    (tmp_path / "README.md").write_text(model_card(facts(blocks)))
    assert licence_of(tmp_path) == ""


@pytest.mark.parametrize(
    ("licence", "said"),
    [
        ("llama3.1", "LLaMA's licence"),
        ("cc-by-nc-4.0", "forbids commercial use"),
        ("", "its licence is not known here"),
    ],
)
def test_licences_of_bases(licence, said):
    assert [said in text for text in warnings([], licence)] == [True]


@pytest.fixture
def checkpoint(blocks, tmp_path):
    folder = artifact(
        tmp_path, "checkpoints/imitator--6", {"stage": "train", "blocks": {"artifact": "blocks/mixed--5"}}
    )
    (folder / "README.md").write_text(model_card(facts(blocks)))
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"12345")
    (folder / "adapter").mkdir()
    (folder / "adapter/adapter_config.json").write_text("{}")
    (folder / "DONE").write_text("{}")
    return folder


def test_a_dry_run_shows_and_sends_nothing(checkpoint, monkeypatch, capsys):
    monkeypatch.delenv("HF_TOKEN", raising=False)
    found = run_publish(checkpoint, "me/imitator", dry_run=True, private=False)
    names = ["README.md", "adapter/adapter_config.json", "config.json", "model.safetensors"]
    assert [each["file"] for each in found["files"]] == names and found["files"][-1]["bytes"] == 5
    assert len(found["warnings"]) == 4 and not found["sent"]
    shown = capsys.readouterr().err
    assert "model.safetensors" in shown and "warning: responses/claude--2" in shown and "last loss: 1.25" in shown
    with pytest.raises(SpecError, match="set HF_TOKEN, or add --dry-run"):
        run_publish(checkpoint, "me/imitator", dry_run=False, private=False, quiet=True)


class Hub(HfApi):
    def __init__(self):
        self.calls = []

    def create_repo(self, repo, **options):
        self.calls.append(("create", repo, options))

    def upload_folder(self, **options):
        self.calls.append(("upload", options))


def test_what_is_sent(checkpoint, monkeypatch):
    hub = Hub()
    monkeypatch.setattr(publish_command, "_api", lambda: hub)
    assert run_publish(checkpoint, "me/imitator", dry_run=False, private=True, quiet=True)["sent"]
    (_, repo, created), (_, sent) = hub.calls
    assert repo == "me/imitator" and created == {"private": True, "exist_ok": True}
    assert "model.safetensors" in sent["allow_patterns"] and "spec.json" not in sent["allow_patterns"]

    def refuse(**options):
        raise OSError("no way")

    hub.upload_folder = refuse
    with pytest.raises(WorkError, match="the hub did not take it: no way"):
        send(pack(checkpoint, "me/imitator"), hub, private=True)


def test_what_cannot_be_published(checkpoint):
    with pytest.raises(SpecError, match="'imitator' is no name of a repository; write OWNER/NAME"):
        pack(checkpoint, "imitator")
    (checkpoint / "README.md").unlink()
    with pytest.raises(ArtifactError, match=r"has no README.md; nothing is published without a card"):
        pack(checkpoint, "me/imitator")
    (checkpoint / "config.json").unlink()
    with pytest.raises(ArtifactError, match="is no checkpoint"):
        pack(checkpoint, "me/imitator")
