"""Instances of instructions: is it a classification, then an input and output each, as a model writes them.

In: seed tasks that are shown, an instruction. Out: prompts, and (input, output) pairs of a reply or what is wrong.
Source: Wang et al. 2022 (arXiv 2212.10560), section 2.2 and Tables 7 to 9: the label is asked for first where the task
is a classification, so that not all inputs get one label; else the input first.
"""

import re
from collections.abc import Sequence

from epigone.synthesis.instructions import Task

IS_IT = "Can the following task be regarded as a classification task with finite output labels?"
INPUT_FIRST = (
    "Come up with examples for the following tasks. Try to generate multiple examples when possible. If the task "
    "doesn't require additional input, you can generate the output directly."
)
LABEL_FIRST = (
    "Given the classification task definition and the class labels, generate an input that corresponds to each of the "
    "class labels. If the task doesn't require input, just generate possible class labels."
)
_YES = re.compile(r"^\W*yes\b", re.IGNORECASE)
_EXAMPLE = re.compile(r"^\W{0,3}Example[ \t]*\d{0,3}\W{0,3}$", re.IGNORECASE | re.MULTILINE)
_INPUT = re.compile(r"^\W{0,3}Input[ \t]*\d{0,3}\W{0,2}:\**", re.IGNORECASE | re.MULTILINE)
_OUTPUT = re.compile(r"^\W{0,3}Output[ \t]*\d{0,3}\W{0,2}:\**", re.IGNORECASE | re.MULTILINE)
_LABEL = re.compile(r"^\W{0,3}Class label[ \t]*\d{0,3}\W{0,2}:\**", re.IGNORECASE | re.MULTILINE)
_TASK = re.compile(r"^\W{0,3}Task[ \t]*\d{0,3}\W{0,2}:", re.IGNORECASE | re.MULTILINE)

Instance = tuple[str, str, str]
"""Input, output, and what is wrong with them or nothing."""


def classification_prompt(tasks: Sequence[Task], instruction: str) -> str:
    """Seed tasks with yes or no, and the one in question."""
    shown = [f"Task: {t.instruction}\nIs it classification? {'Yes' if t.is_classification else 'No'}" for t in tasks]
    return "\n\n".join([IS_IT, *shown, f"Task: {instruction}\nIs it classification?"])


def says_yes(reply: str) -> bool:
    """Whether a reply begins with yes; every other reply counts as no."""
    return bool(_YES.match(reply))


def instance_prompt(tasks: Sequence[Task], instruction: str, *, is_classification: bool) -> str:
    """Seed tasks of that kind with their instances, and the instruction that needs some."""
    head, shown = (LABEL_FIRST, _labelled) if is_classification else (INPUT_FIRST, _written)
    told = [f"Task: {task.instruction}\n{shown(task)}" for task in tasks if task.is_classification == is_classification]
    return "\n\n".join([head, *told, f"Task: {instruction}"]) + "\n"


def read_instances(reply: str, *, is_classification: bool, is_cut: bool) -> list[Instance]:
    """Every instance of a reply up to its next task, in order; one input with two outputs makes all of them useless."""
    text = _TASK.split(reply, maxsplit=1)[0].strip()
    pairs = _labels(text) if is_classification else _examples(text)
    found = [(given, out, _problem(given, out)) for given, out in pairs]
    if not found:
        return [("", text, "no instance")]
    if is_cut:
        found[-1] = (*found[-1][:2], "cut off")
    whole = [(given, out) for given, out, problem in found if not problem]
    outputs = dict[str, set[str]]()
    for given, out in whole:
        outputs.setdefault(given, set()).add(out)
    if any(given and len(out) > 1 for given, out in outputs.items()):
        return [(given, out, problem or "one input, two outputs") for given, out, problem in found]
    seen = set[tuple[str, str]]()
    return [(*pair, problem or _again(pair, seen)) for *pair, problem in found for pair in [(pair[0], pair[1])]]


def _again(pair: tuple[str, str], seen: set[tuple[str, str]]) -> str:
    if pair in seen:
        return "comes twice"
    seen.add(pair)
    return ""


def _labels(text: str) -> list[tuple[str, str]]:
    pairs = []
    for part in _LABEL.split(text)[1:]:
        label, _, given = part.strip().partition("\n")
        pairs.append((_INPUT.sub("", given, count=1).strip(), label.strip()))
    return pairs


def _examples(text: str) -> list[tuple[str, str]]:
    parts = [part for part in _EXAMPLE.split(text) if part.strip()]
    if len(parts) == 1:
        parts = [part for part in re.split(rf"(?={_INPUT.pattern})", text, flags=_INPUT.flags) if part.strip()]
    return [_pair(part) for part in parts if _OUTPUT.search(part)]


def _pair(part: str) -> tuple[str, str]:
    given, out = _OUTPUT.split(part, maxsplit=1)
    out = _INPUT.split(_OUTPUT.split(out, maxsplit=1)[0], maxsplit=1)[0]
    return _INPUT.sub("", given.strip(), count=1).strip(), out.strip()


def _problem(given: str, out: str) -> str:
    if not out:
        return "no output"
    if given == out:
        return "output is the input"
    return "not finished" if given.endswith(":") or out.endswith(":") else ""


def _written(task: Task) -> str:
    told = [(f"Input: {given}\n" if given else "") + f"Output: {out}" for given, out in task.instances]
    if len(told) == 1:
        return told[0]
    return "\n".join(f"Example {number}\n{text}" for number, text in enumerate(told, start=1))


def _labelled(task: Task) -> str:
    return "\n".join(f"Class label: {out}" + (f"\nInput: {given}" if given else "") for given, out in task.instances)
