"""Our MMLU and Natural Questions beside lm-evaluation-harness, item by item: the same model, the same files.

Two ways: its own loop over our model (`HarnessModel`), and, in the slow tests, its own `hf` model on the same weights.
Where protocols agree the scores are equal; where not, they differ by what docs/how-to/benchmarks.md says.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from epigone.backends.checkpoint import Checkpoint
from epigone.benchmarks.harness import Harness
from epigone.benchmarks.mmlu import MMLU
from epigone.benchmarks.natural_questions import NaturalQuestions
from epigone.errors import DataError, SpecError
from epigone.metrics import answers
from epigone.records import Completion, Item, Likelihood, Prompt, SamplingParams, Score
from epigone.rows.choices import read_split
from small_checkpoint import small_base

pytestmark = pytest.mark.filterwarnings("ignore")  # lm-evaluation-harness and what it brings warn as they load
NUM_ITEMS, NUM_REPLIES = 8, 24
"""Of each subject: asked of the tiny model, and of a script."""
SUBJECTS = ("anatomy", "econometrics")
NQ_AS_OURS = """
include: {stock}
task: nq_as_ours
description: ""
doc_to_text: "Q: {{{{question}}}}\\nA:"
fewshot_delimiter: "\\n\\n"
fewshot_split: train
fewshot_config:
  sampler: first_n
doc_to_target: answer
generation_kwargs:
  until: ["\\n"]
  max_gen_toks: 10
  do_sample: false
filter_list:
  - name: remove_whitespace
    filter:
      - function: remove_whitespace
      - function: take_first
"""


@pytest.fixture(scope="module")
def lm_eval():
    return pytest.importorskip(
        "lm_eval", reason="lm-evaluation-harness is not installed: pip install 'epigone[harness]'"
    )


@pytest.fixture(scope="module")
def tasks(lm_eval) -> Path:
    """Its own tasks; tests name the folder that they need, since listing all of them takes seconds."""
    return Path(lm_eval.__file__).parent / "tasks"


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory):
    """Its data sets are cached in a folder of the tests."""
    datasets = pytest.importorskip("datasets", reason="lm-evaluation-harness is not installed")
    before = datasets.config.HF_DATASETS_CACHE
    datasets.config.HF_DATASETS_CACHE = tmp_path_factory.mktemp("datasets")
    yield
    datasets.config.HF_DATASETS_CACHE = before


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    return small_base(tmp_path_factory.mktemp("small") / "base", max_positions=4096)


@pytest.fixture(scope="module")
def mmlu_files(data_root: Path, tmp_path_factory) -> tuple[Path, Path]:
    """Two subjects: as ours reads them, and as local data of its tasks."""
    ours, theirs = tmp_path_factory.mktemp("mmlu"), tmp_path_factory.mktemp("mmlu-jsonl")
    for split in ("test", "dev"):
        rows = read_split(data_root / "mmlu" / "data" / split, split)
        (ours / split).mkdir()
        for subject in SUBJECTS:
            name = f"{subject}_{split}.csv"
            (ours / split / name).write_bytes((data_root / "mmlu" / "data" / split / name).read_bytes())
            for task in (f"mmlu_{subject}", f"mmlu_{subject}_generative"):
                (theirs / task).mkdir(exist_ok=True)
                lines = [
                    json.dumps({"question": i.question, "choices": i.options, "answer": i.label}) for i in rows[subject]
                ]
                (theirs / task / f"{split}.jsonl").write_text("\n".join(lines) + "\n")
    return ours, theirs


@dataclass
class Scripted:
    """Says what it is told by the end of the prompt: many kinds of replies, right and wrong."""

    replies: dict[str, str]

    def generate(self, prompts: Sequence[Prompt], sampling: SamplingParams) -> list[Completion]:
        return [self._completion(prompt.text or prompt.messages[-1].content, sampling) for prompt in prompts]

    def _completion(self, text: str, sampling: SamplingParams) -> Completion:
        reply = next(reply for ending, reply in self.replies.items() if text.endswith(ending))
        ends = [reply.find(stop) for stop in sampling.stop if stop in reply]
        return Completion(reply[: min(ends)] if ends else reply, 1, "stop")


def theirs(model: object, task: str, tasks: Path, data: Path, num_shots: int, limit: int):
    """Its own evaluation, item by item: {number of the item: what it says of it}. `model` is one of its models."""
    from lm_eval.evaluator import simple_evaluate
    from lm_eval.tasks import TaskManager

    harness = Harness(task, include_path=tasks, data_folder=data)
    listing = TaskManager(include_path=str(tasks), include_defaults=False)
    built = harness._built(listing, task, {})
    found = simple_evaluate(
        model, tasks=[built], num_fewshot=num_shots, limit=limit, bootstrap_iters=0, task_manager=listing
    )
    return {sample["doc_id"]: sample for sample in found["samples"][task]}


def behind(model: object):
    from lm_eval.api.model import LM

    from epigone.harness_model import HarnessModel

    return type("Ours", (HarnessModel, LM), {})(model)


# -- MMLU ------------------------------------------------------------------------------------------------------------
def of_subject(scores: list[Score], subject: str) -> list[Score]:
    return [score for score in scores if score.group == subject]


def test_mmlu_by_letter_equals_theirs(tasks: Path, base: Path, mmlu_files) -> None:
    """Prompts byte for byte, the choice, and the score, with the header of one blank; ours has two otherwise."""
    files, local = mmlu_files
    model = Checkpoint(str(base))
    ours = MMLU(files / "test", files / "dev", form="lm_eval", limit=NUM_ITEMS, max_prompt_tokens=4096)
    scores = ours.run(model)
    for subject in SUBJECTS:
        task = f"mmlu_{subject}"
        found = theirs(behind(model), task, tasks / "mmlu" / "default", local / task, 5, NUM_ITEMS)
        mine = of_subject(scores, subject)
        assert [found[n]["acc"] for n in range(NUM_ITEMS)] == [score.metrics["accuracy"] for score in mine]
        assert [found[n]["arguments"][0][0] for n in range(NUM_ITEMS)] == [score.prompt for score in mine]
        likelihoods = [[r[0] for r in found[n]["filtered_resps"]] for n in range(NUM_ITEMS)]
        assert ["ABCD"[row.index(max(row))] for row in likelihoods] == [score.parsed for score in mine]
    assert 0 < sum(score.metrics["accuracy"] for score in scores) < len(scores)
    original = replace(ours, form="original")
    for item in original.items():
        two, one = original.prompt(item).text, ours.prompt(item).text
        assert two != one and two.replace("about  ", "about ", 1) == one  # no question here has blanks around it
    assert original.protocol != ours.protocol


def mmlu_replies(items: Sequence[Item]) -> dict[str, str]:
    """By the end of the prompt, in turn: forms in which models name a letter, right ones and wrong ones."""
    forms = (
        " {0}",
        "{0}.",
        " ({0})",
        " {0}. {1}",
        "The answer is {0}.",
        "{0}\nbecause",
        "\n{0}",
        "I do not know",
        " **{0}**",
    )
    replies: dict[str, str] = {}
    for number, item in enumerate(items):
        label = item.label if number % 4 else (item.label + 1) % 4
        ending = f"\nD. {item.options[3]}\nAnswer:"
        replies[
            f"{item.question.strip()}\nA. {item.options[0]}\nB. {item.options[1]}\nC. {item.options[2]}{ending}"
        ] = forms[number % len(forms)].format("ABCD"[label], item.options[label])
    return replies


def test_mmlu_generated_equals_theirs(tasks: Path, mmlu_files) -> None:
    """exact_match is their rule; accuracy differs where a reply names the letter among other words, and there alone."""
    files, local = mmlu_files
    ours = MMLU(files / "test", files / "dev", form="lm_eval", scoring="generated", limit=NUM_REPLIES)
    items = ours.items()
    model = Scripted(mmlu_replies(items))
    scores = ours.run(model)
    different = 0
    for subject in SUBJECTS:
        task = f"mmlu_{subject}_generative"
        found = theirs(behind(model), task, tasks / "mmlu" / "generative", local / task, 5, NUM_REPLIES)
        for number, score in enumerate(of_subject(scores, subject)):
            exact = found[number]["exact_match"]
            assert score.metrics["exact_match"] == exact
            assert score.prompt == found[number]["arguments"][0][0]
            bare = re.fullmatch(r"\W*[A-D]\W*", score.reply.split("\n")[0]) is not None
            if bare:
                assert score.metrics["accuracy"] == exact
            elif score.metrics["accuracy"] != exact:
                different += 1
                assert (score.metrics["accuracy"], exact) == (1, 0) and score.parsed in score.reply
    assert different > 5


# -- Natural Questions -----------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def nq_files(data_root: Path, tmp_path_factory) -> Path:
    """validation: 200 questions; train: solved ones that are not among them."""
    folder = tmp_path_factory.mktemp("nq")
    source = data_root / "nq_open"
    for split, name, count in (
        ("validation", "NQ-open.dev.first1800.jsonl", 200),
        ("train", "NQ-open.efficientqa.dev.1.1.first500.jsonl", 20),
    ):
        lines = (source / name).read_text(encoding="utf-8").splitlines()[:count]
        (folder / f"{split}.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def nq_replies(items: Sequence[Item]) -> dict[str, str]:
    """By the end of the prompt, in turn: an accepted answer, with an article, in capitals, in a sentence, wrong."""
    forms = (" {0}", " the {0}.", " {1}", " It is {0}", " {0}\nQ: more", " An {0}", " no idea", " {2}!")
    found: dict[str, str] = {}
    for number, item in enumerate(items):
        answer = item.answers[number % len(item.answers)]
        said = forms[number % len(forms)].format(answer, answer.upper(), answer.lower())
        found |= {f"Q: {item.question}\nA:": said, f"Q: {item.question}?\nA:": said}
    return found


def test_nq_equals_theirs_under_our_protocol(lm_eval, tasks: Path, nq_files: Path, tmp_path: Path) -> None:
    """Its task with our prompt, stop and length: prompts byte for byte, and the scores, but for articles.

    They drop articles before a blank that begin a word anywhere; SQuAD drops whole words. Where they differ, an article
    stands at the end, or a word begins with one.
    """
    (tmp_path / "nq_as_ours.yaml").write_text(NQ_AS_OURS.format(stock=tasks / "nq_open" / "nq_open.yaml"))
    ours = NaturalQuestions(nq_files / "validation.jsonl", nq_files / "train.jsonl")
    items = ours.items()
    model = Scripted(nq_replies(items))
    scores = ours.run(model)
    found = theirs(behind(model), "nq_as_ours", tmp_path, nq_files, 3, len(items))
    assert [found[n]["arguments"][0][0] for n in range(len(items))] == [score.prompt for score in scores]
    assert [found[n]["resps"][0][0] for n in range(len(items))] == [score.reply for score in scores]
    differ = [n for n, score in enumerate(scores) if score.metrics["exact_match"] != found[n]["exact_match"]]
    for n in differ:
        said = answers.normalise_answer(scores[n].reply)
        assert scores[n].metrics["exact_match"] == 1 and said in map(answers.normalise_answer, items[n].answers)
        assert normalised_as_theirs(scores[n].reply) not in map(normalised_as_theirs, items[n].answers)
    assert 0.4 < sum(score.metrics["exact_match"] for score in scores) / len(scores) < 0.9 and len(differ) < 10


def normalised_as_theirs(text: str) -> str:
    """The stock task's exact_match, by its YAML: articles with a blank behind go first, then case and punctuation."""
    bare = re.sub(r"\b(?:The |the |An |A |The |a |an )", "", text.lstrip())
    return "".join(c for c in bare.lower() if c not in "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")


def test_nq_differs_from_the_stock_task_as_documented(lm_eval, tasks: Path, nq_files: Path) -> None:
    """Another prompt (a description, "?" behind questions, one line feed between shots), replies cut at "." or ","."""
    ours = NaturalQuestions(nq_files / "validation.jsonl", nq_files / "train.jsonl")
    items = ours.items()
    model = Scripted(nq_replies(items))
    scores = ours.run(model)
    found = theirs(behind(model), "nq_open", tasks / "nq_open", nq_files, 0, len(items))
    lost = 0
    for number, (item, score) in enumerate(zip(items, scores)):
        assert found[number]["arguments"][0][0] == f"Answer these questions:\n\nQ: {item.question}?\nA:"
        cut = re.split(r"[\n.,]", score.reply)[0]
        assert found[number]["resps"][0][0] == cut
        golds = [normalised_as_theirs(answer) for answer in item.answers]
        assert found[number]["exact_match"] == float(normalised_as_theirs(cut) in golds)
        lost += score.metrics["exact_match"] > found[number]["exact_match"]
    assert lost > 5


# -- any task --------------------------------------------------------------------------------------------------------
def test_our_loop_is_theirs(tasks: Path, base: Path, mmlu_files) -> None:
    """Harness, item by item and in any order, gives what its own loop gives over the same model."""
    _, local = mmlu_files
    model = Checkpoint(str(base))
    bench = Harness(
        "mmlu_anatomy", num_shots=2, include_path=tasks / "mmlu" / "default", data_folder=local, limit=NUM_ITEMS
    )
    found = theirs(behind(model), "mmlu_anatomy", tasks / "mmlu" / "default", local / "mmlu_anatomy", 2, NUM_ITEMS)
    items = bench.items()
    backwards = [bench.run(model, [item])[0] for item in items[::-1]][::-1]
    for number, (score, alone) in enumerate(zip(bench.run(model), backwards)):
        assert score.item_id == f"mmlu_anatomy-{number}" and score.group == "mmlu_anatomy"
        assert score.metrics == alone.metrics == {"acc": found[number]["acc"]}
        assert score.prompt == found[number]["arguments"][0][0]
    assert (
        bench.protocol.startswith("harness-mmlu-anatomy--") and bench.protocol != replace(bench, num_shots=3).protocol
    )
    assert replace(bench, limit=5).protocol == bench.protocol


OWN = {
    "own_words.yaml": (
        "task: own_words\ndataset_path: json\ntest_split: test\noutput_type: loglikelihood_rolling\n"
        "doc_to_text: ''\ndoc_to_target: '{{text}}'\n"
        "metric_list:\n  - metric: word_perplexity\n  - metric: bits_per_byte\n"
    ),
    "own_last.yaml": (
        "task: own_last\ndataset_path: json\ntest_split: test\noutput_type: loglikelihood\n"
        "doc_to_text: '{{text}}'\ndoc_to_target: '{{last}}'\nmetric_list:\n  - metric: acc\n  - metric: perplexity\n"
    ),
    "own_said.yaml": (
        "task: own_said\ndataset_path: json\ntest_split: test\noutput_type: generate_until\nfewshot_split: test\n"
        "doc_to_text: '{{text}}'\ndoc_to_target: '{{last}}'\n"
        'generation_kwargs: {until: ["\\n", "x"], max_gen_toks: 7}\n'
        "filter_list:\n  - {name: whole, filter: [{function: take_first}]}\n"
        "  - {name: start, filter: [{function: regex, regex_pattern: '^(.)'}, {function: take_first}]}\n"
        "metric_list:\n  - metric: exact_match\n"
    ),
    "own_all.yaml": "group: own_all\ntask: [own_last, own_said]\n",
}


@pytest.fixture
def own_tasks(tmp_path: Path) -> tuple[Path, Path]:
    (tmp_path / "own").mkdir()
    (tmp_path / "data").mkdir()
    for name, text in OWN.items():
        (tmp_path / "own" / name).write_text(text)
    rows = [{"text": f"The cat number {n} sat on the", "last": f"mat{n}"} for n in range(6)]
    (tmp_path / "data" / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path / "own", tmp_path / "data"


def test_whole_texts(lm_eval, own_tasks, tmp_path: Path) -> None:
    """loglikelihood_rolling: every token once, behind `<s>`, in windows where a text is longer than the positions."""
    own, data = own_tasks
    long = small_base(tmp_path / "long", max_positions=256)
    model = Checkpoint(str(long))
    bench = Harness("own_words", include_path=own, data_folder=data)
    found = bench.run(model)
    for score, item in zip(found, bench.items()):
        (whole,) = model.rolling_loglikelihood([item.question])
        assert whole.num_tokens == len(model.token_ids(Prompt("", text=item.question))[0]) - 1
        assert score.metrics["word_perplexity_nats"] == pytest.approx(
            -whole.logprob / len(item.question.split()), rel=1e-6
        )
    pieces = model.loglikelihood([(Prompt("", text="The"), " cat number 0 sat on the")])[0]
    (whole, start) = model.rolling_loglikelihood(["The cat number 0 sat on the", "The"])
    assert whole.logprob == pytest.approx(pieces.logprob + start.logprob, abs=1e-3)
    text = "the thing that is " * 60
    (windows,) = model.rolling_loglikelihood([text])
    assert windows.num_tokens == len(model.token_ids(Prompt("", text=text))[0]) - 1 > 256


def test_greedy_or_not(lm_eval, own_tasks, base: Path) -> None:
    """acc of a continuation: whether greedy decoding gives it, which of one token's alternatives is the likeliest."""
    own, data = own_tasks
    model = Checkpoint(str(base))
    rows: list[dict[str, str]] = []
    for text in map(chr, range(97, 123)):
        pairs = [(Prompt("", text=text), chr(code)) for code in range(33, 127)]
        found = model.loglikelihood(pairs)
        best = max(range(len(found)), key=lambda n: found[n].logprob)
        assert all(each.is_greedy is not None and (n == best or not each.is_greedy) for n, each in enumerate(found))
        if found[best].is_greedy:  # and not some byte that is no character
            rows += [{"text": text, "last": pairs[best][1]}, {"text": text, "last": pairs[best - 1][1]}]
    assert len(rows) >= 4
    (data / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    scores = Harness("own_last", include_path=own, data_folder=data).run(model)
    assert [score.metrics["acc"] for score in scores] == [1.0, 0.0] * (len(rows) // 2)
    assert all(score.metrics["perplexity"] < 0 for score in scores)  # its name for the log-likelihood


def test_filters_and_chat(lm_eval, own_tasks) -> None:
    own, data = own_tasks
    bench = Harness("own_said", include_path=own, data_folder=data, chat=True, num_shots=1, system="Be short.")
    seen: list[Prompt] = []

    @dataclass
    class Listening(Scripted):
        def generate(self, prompts, sampling):
            seen.extend(prompts)
            assert sampling == SamplingParams(7, stop=("\n", "x"))
            return super().generate(prompts, sampling)

    scores = bench.run(Listening({f"{n} sat on the": f"mat{n}\nmore" for n in range(6)}))
    assert [turn.role for turn in seen[0].messages] == ["system", "user", "assistant", "user"]
    assert seen[0].messages[0].content == "Be short." and seen[0].id == "own_said-0"
    assert [score.metrics for score in scores] == [{"exact_match@whole": 1.0, "exact_match@start": 0.0}] * 6
    assert scores[0].parsed == scores[0].reply == "mat0"
    assert bench.protocol.startswith("harness-own-said-chat--")
    assert bench.protocol != replace(bench, chat=False, system="").protocol


def test_groups_and_what_is_refused(lm_eval, own_tasks, base: Path, tmp_path: Path) -> None:
    own, data = own_tasks
    group = Harness("own_all", include_path=own, data_folder=data, limit=2)
    assert [item.id for item in group.items()] == ["own_last-0", "own_last-1", "own_said-0", "own_said-1"]
    scores = group.run(Checkpoint(str(base)), group.items()[1:3])
    assert [(score.item_id, set(score.metrics)) for score in scores] == [
        ("own_last-1", {"acc", "perplexity"}),
        ("own_said-0", {"exact_match@whole", "exact_match@start"}),
    ]
    with pytest.raises(SpecError, match="needs log-likelihoods, but Scripted gives none"):
        group.run(Scripted({"the": "x"}))
    with pytest.raises(SpecError, match="no tokenizer here"):
        Harness("own_words", include_path=own, data_folder=data).run(Likely())
    with pytest.raises(
        SpecError, match="asks whether greedy decoding gives a continuation, which Likely does not tell"
    ):
        Harness("own_last", include_path=own, data_folder=data).run(Likely())
    with pytest.raises(DataError, match=r"data of own_said cannot be read.*name a data_folder"):
        Harness("own_said", include_path=own).items()
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds files of 0 kinds"):
        Harness("own_said", include_path=own, data_folder=tmp_path / "empty").items()


class Likely(Scripted):
    """Tells log-likelihoods and has no tokenizer."""

    def __init__(self) -> None:
        super().__init__({})

    def loglikelihood(self, requests: Sequence[tuple[Prompt, str]]) -> list[Likelihood]:
        return [Likelihood(-1.0, 1) for _ in requests]


@pytest.mark.slow
def test_a_task_that_is_none_and_one_of_its_own(lm_eval, data_root: Path, tmp_path: Path) -> None:
    """Names are looked up among all the tasks that come with it."""
    with pytest.raises(SpecError, match="has no task 'gsm8kk'; close to it: gsm8k"):
        Harness("gsm8kk").items()
    rows = [{"question": f"What is {n} and 1?", "answer": f"It is so.\n#### {n + 1}"} for n in range(8)]
    for split in ("train", "test"):
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    bench = Harness("gsm8k", data_folder=tmp_path)
    items = bench.items()
    assert items[0].question.count("Question: ") == 6  # the task's own five shots
    model = Scripted({f"Question: What is {n} and 1?\nAnswer:": f"So #### {n + 1}" for n in range(8)})
    assert {score.metrics["exact_match@strict-match"] for score in bench.run(model)} == {1.0}


# -- the same weights in its own model -------------------------------------------------------------------------------
@pytest.mark.slow
def test_the_same_weights_in_its_own_model(lm_eval, tasks: Path, base: Path, mmlu_files) -> None:
    """Its `hf` model reads our folder with transformers: equal choices, log-likelihoods within float's last places."""
    pytest.importorskip("torch", reason="torch is not installed: pip install 'epigone[parity]'")
    from lm_eval.models.huggingface import HFLM

    files, local = mmlu_files
    ours = MMLU(files / "test", files / "dev", form="lm_eval", limit=NUM_ITEMS, max_prompt_tokens=4096)
    model = Checkpoint(str(base))
    scores = ours.run(model)
    hf = HFLM(pretrained=str(base), device="cpu", dtype="float32", batch_size=1)
    task = "mmlu_anatomy"
    found = theirs(hf, task, tasks / "mmlu" / "default", local / task, 5, NUM_ITEMS)
    mine = of_subject(scores, "anatomy")
    pairs = [(Prompt(score.item_id, text=score.prompt), f" {letter}") for score in mine for letter in "ABCD"]
    likelihoods = [likelihood.logprob for likelihood in model.loglikelihood(pairs)]
    told = [float(r[0]) for n in range(NUM_ITEMS) for r in found[n]["filtered_resps"]]
    assert likelihoods == pytest.approx(told, abs=2e-3)
    margins = [sorted(told[4 * n : 4 * n + 4])[-1] - sorted(told[4 * n : 4 * n + 4])[-2] for n in range(NUM_ITEMS)]
    for number, score in enumerate(mine):
        if margins[number] > 1e-2:
            assert score.metrics["accuracy"] == found[number]["acc"]


@pytest.mark.slow
def test_whole_texts_in_its_own_model(lm_eval, tmp_path: Path) -> None:
    """Equal where the tokenizer puts nothing in front; where it puts `<s>` there, theirs reads and scores it twice."""
    pytest.importorskip("torch", reason="torch is not installed: pip install 'epigone[parity]'")
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    texts = ["The thing that is", "another text, a longer one than that"]
    asked = [Instance("loglikelihood_rolling", {}, (text,), 0, ("t", n, 1)) for n, text in enumerate(texts)]
    for opens in (False, True):
        folder = small_base(tmp_path / f"opens-{opens}", opens=opens)
        model = Checkpoint(str(folder))
        rolled = [found.logprob for found in model.rolling_loglikelihood(texts)]
        found = HFLM(pretrained=str(folder), device="cpu", dtype="float32", batch_size=1).loglikelihood_rolling(asked)
        if opens:
            ids = [model.token_ids(Prompt("", text=text))[0] for text in texts]
            doubled = [model._engine.loglikelihood([(row[:1], row)])[0] for row in ids]
            assert doubled == pytest.approx(found, abs=2e-3) and doubled != pytest.approx(rolled, abs=1)
        else:
            assert rolled == pytest.approx(found, abs=2e-3)
