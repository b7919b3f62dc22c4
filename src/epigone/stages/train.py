"""train: blocks -> a checkpoint, from random weights (a base model) or from another checkpoint (a student).

In: blocks, a tokenizer, perhaps a checkpoint to start from (made here, or a folder or .gguf file from elsewhere) and
pre-training blocks to replay (section 4.1, and the open question of section 4.3). Out: `checkpoints/` in Hugging Face
layout. Goes on bit-identically after an interruption.
"""

import shutil
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar, cast

from epigone.errors import SpecError
from epigone.interfaces import ChatTemplate, StageSpec
from epigone.models import llama
from epigone.models.compute import DEFAULT, Compute
from epigone.models.family import Model, random_model
from epigone.models.params import num_params
from epigone.models.weights import load_checkpoint, save_checkpoint
from epigone.needs import mesh_devices
from epigone.parallel import hosts
from epigone.parallel.launch import launch_of
from epigone.parallel.mesh import Mesh, make_mesh
from epigone.parallel.rules import undivided
from epigone.progress import tell
from epigone.reporting.model_card import CardFacts, model_card
from epigone.reporting.provenance import licence_of, lineage
from epigone.spec import Artifact, Component, Input, is_stage
from epigone.store import write_text
from epigone.tokens.chat_template import SPECIAL_TOKENS, ChatTokens
from epigone.tokens.packing import Blocks, load_blocks
from epigone.tokens.pairs import holds_pairs
from epigone.tokens.published import named_id, tokenizer_config_of
from epigone.tokens.tokenizer import Tokenizer
from epigone.training.embeddings import init_token_embeddings
from epigone.training.log import warmup_note
from epigone.training.loop import train
from epigone.training.optimizer import Recipe
from epigone.training.speed import Meter
from epigone.training.trackers import following
from epigone.training.treatment import Treatment


@dataclass(frozen=True)
class Size:
    """Shape of a model made from random weights; LLaMA family."""

    width: int
    """Residual stream."""
    num_layers: int = 3
    head_width: int = 32
    """Width over this is the number of heads."""
    max_positions: int = 192
    """Longest sequence in tokens."""

    def __post_init__(self) -> None:
        if self.head_width < 2 or self.head_width % 2 or self.width % self.head_width:
            raise SpecError(f"heads {self.head_width} wide do not fit a width of {self.width}; take an even divisor")


@dataclass(frozen=True)
class Train:
    """Options of a training run. Either `size` (from random weights) or `start` (from a checkpoint)."""

    blocks: StageSpec | Artifact | None
    """What is learnt; None trains on replayed text alone (the treatment `replay`)."""
    tokenizer: Input
    """The tokenizer that goes with the checkpoint: a tokenizer.json, or the folder or .gguf file that holds it."""
    recipe: Recipe
    """Learning rate, schedule, batch, epochs."""
    name: str
    """What the model is called."""
    size: Size | None = None
    """Shape of a base model that starts from random weights."""
    start: StageSpec | Artifact | Input | None = None
    """The checkpoint that a student starts from: an artifact, or a folder or .gguf file from elsewhere."""
    template: Component = SPECIAL_TOKENS
    """How the blocks' dialogues were written; it goes along with the checkpoint."""
    treatments: tuple[Component, ...] = ()
    """What is done besides: components of `training.treatments`, each at most once."""
    compute: Compute = DEFAULT
    """Precision of the passes (parameters are fp32 whatever it says), and what is computed again to save memory."""
    mesh: str = ""
    """Devices by axis, data,fsdp,tensor, such as 1,-1,1; empty: the first device alone."""
    seed: int = 0
    """Of the random weights and of what treatments draw from the data; the recipe's own seed orders the blocks."""
    role_sources: tuple[tuple[str, str], ...] = (("<|user|>", "Q :"), ("<|assistant|>", "A :"))
    """The special tokens of the roles start as the mean of these tokens' embeddings: in a finished base, which has
    never seen them, so that it can be asked in chat form too, and again in a student before it learns. Of another
    template, whose tokens the checkpoint brings along, nothing is changed."""

    kind: ClassVar[str] = "checkpoints"
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if (self.size is None) == (self.start is None):
            raise SpecError(f"{self.name}: give either `size` (random weights) or `start` (a checkpoint)")
        names = [treatment.name for treatment in self.treatments]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise SpecError(f"{self.name}: the treatment {twice!r} is given twice")
        if self.blocks is None and "replay" not in names:
            raise SpecError(f"{self.name}: there is nothing to train on; give `blocks` or the treatment `replay`")

    @property
    def slug(self) -> str:
        """The model's name."""
        return self.name

    @property
    def effort(self) -> float:
        """Seconds on one core, roughly: bases are the long way."""
        return 35.0 * (self.size.width / 64) if self.size else 5.0

    @property
    def num_devices(self) -> int:
        """Those of the mesh; one without a mesh."""
        return mesh_devices(self.mesh) if self.mesh else 1

    def run(self, inputs: Callable[[object], Path], out: Path) -> dict[str, object]:
        """Train and write the checkpoint; returns real token counts, steps and losses.

        Of several processes (`parallel.launch`) all run it with the same `out`, and the first writes.
        """
        if self.mesh:
            hosts.join(launch_of())
        mesh = make_mesh(self.mesh) if self.mesh else None
        template = ChatTokens(Tokenizer.load(inputs(self.tokenizer)), cast(ChatTemplate, self.template.make(inputs)))
        treatments = [cast(Treatment, treatment.make(inputs)) for treatment in self.treatments]
        blocks, counts = self._mixture(inputs, treatments)
        start = self._start(inputs, template.tokenizer, mesh)
        meter = Meter.of(start, self.recipe.batch_size, blocks.length, num_devices=mesh.size if mesh else 1)
        with following(out / "train_log.jsonl", self.name) if hosts.is_first() else nullcontext([]) as trackers:
            model, log = train(
                start,
                blocks,
                self.recipe,
                treatments=treatments,
                compute=self.compute,
                mesh=mesh,
                state_folder=out / "state",
                export_folder=out,
                trackers=trackers,
                on_progress=partial(_tell, meter),
            )
        if self.size is not None:
            model = self._with_roles(model, template.tokenizer)
        config, ids = _published(inputs(self.start) if self.start is not None else None)
        save_checkpoint(out, model.config, model.params, token_ids=ids | {"eos_token_id": template.end})
        if hosts.is_first():
            template.save(out, config)
            shutil.rmtree(out / "state", ignore_errors=True)  # only an unfinished run needs it
        note = warmup_note(log, self.recipe.learning_rate, self.recipe.warmup_of(log.num_steps))
        counts |= {
            "num_params": num_params(model.family.param_tree(model.config)),
            "num_steps": log.num_steps,
            "peak_learning_rate": log.peak_learning_rate,
            "first_loss": float(log.losses[0]),
            "last_loss": float(log.losses[-1]),
            "notes": ([note] if note else []) + _undivided(model, mesh),
        }
        if hosts.is_first():
            write_text(out / "README.md", model_card(self._facts(inputs, counts, template)))
        return counts | meter.figures

    def _facts(self, inputs: Callable[[object], Path], counts: dict[str, object], chat: ChatTokens) -> CardFacts:
        options = [value for treatment in self.treatments for _, value in treatment.options]
        sources = [each for each in (self.blocks, self.start, *options) if isinstance(each, Artifact) or is_stage(each)]
        start = inputs(self.start) if self.start is not None else None
        return CardFacts(
            name=self.name,
            base=start.name if start else "",
            licence=licence_of(start) if start else "own",
            ancestors=lineage([inputs(source) for source in sources]),
            recipe=asdict(self.recipe),
            treatments=[treatment.name for treatment in self.treatments],
            counts=counts,
            template=chat.template.jinja,
        )

    def _start(self, inputs: Callable[[object], Path], tokenizer: Tokenizer, mesh: Mesh | None) -> Model:
        if self.size is not None:
            config = llama_of(self.size, tokenizer.vocab_size)
            return random_model(config, seed=self.seed)
        return self._with_roles(load_checkpoint(inputs(self.start), mesh), tokenizer)

    def _with_roles(self, model: Model, tokenizer: Tokenizer) -> Model:
        sources = self.role_sources if self.template.name == SPECIAL_TOKENS.name else ()
        rows = {tokenizer.id(token): tokenizer.encode(source) for token, source in sources}
        return init_token_embeddings(model, rows)

    def _mixture(
        self, inputs: Callable[[object], Path], treatments: Sequence[Treatment]
    ) -> tuple[Blocks, dict[str, object]]:
        blocks = load_blocks(inputs(self.blocks)) if self.blocks is not None else None
        has_pairs, by_pairs = self.blocks is not None and holds_pairs(inputs(self.blocks)), _by_pairs(treatments)
        if by_pairs and not has_pairs:
            raise SpecError(f"{self.name}: {by_pairs} learns from pairs, these blocks hold none; see tokenize_pairs")
        if has_pairs and not by_pairs:
            raise SpecError(f"{self.name}: these blocks hold pairs, which dpo learns from; add that treatment")
        own = blocks.num_tokens if blocks is not None else 0
        for treatment in treatments:
            blocks = treatment.mixed(blocks, self.seed)
        assert blocks is not None
        kind = "pretrain_tokens" if self.size is not None else "imitation_tokens"
        return blocks, {kind: own, "replay_tokens": blocks.num_tokens - own}


def _by_pairs(treatments: Sequence[Treatment]) -> str:
    return next((type(treatment).__name__.lower() for treatment in treatments if treatment.replaces_loss), "")


def _published(start: Path | None) -> tuple[dict[str, object], dict[str, int]]:
    """What the checkpoint that a student starts from says of its tokenizer, and the ids that config.json names."""
    if start is None:
        return {}, {"pad_token_id": 0}
    named = {f"{name}_token_id": named_id(start, name) for name in ("bos", "pad")}
    return tokenizer_config_of(start), {key: ids[0] for key, ids in named.items() if ids}


def _undivided(model: Model, mesh: Mesh | None) -> list[str]:
    if mesh is None:
        return []
    lines = undivided(model.family.param_tree(model.config), dict(mesh.shape), model.config.head_width)
    return [f"whole on every device: {line}" for line in lines]


def _tell(meter: Meter, step: int, total: int, loss: float) -> None:
    meter.step(step)
    tell(step, total, "steps", ", ".join(filter(None, (f"loss {loss:.3f}", meter.note))))


def llama_of(size: Size, vocab_size: int) -> llama.Config:
    """The config of a model that starts from random weights."""
    return llama.Config(
        vocab_size=vocab_size,
        width=size.width,
        num_layers=size.num_layers,
        num_heads=size.width // size.head_width,
        num_kv_heads=size.width // size.head_width,
        hidden_width=round(size.width * 8 / 3 / 16) * 16,
        max_positions=size.max_positions,
        tie_embeddings=True,
    )
