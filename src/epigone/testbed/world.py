"""Writes a simulated world: corpus, tokenizer, facts, benchmark files and prompts, each in its published format.

In: a folder, a seed, sizes. Out: the files listed in docs (corpus.jsonl, tokenizer.json, facts.jsonl,
claims.json, nq/, mmlu/, lama/, realtoxicityprompts/, prompts/). Equal arguments give equal bytes.
"""

import json
from pathlib import Path

from epigone.store import write_records, write_text
from epigone.testbed import prompts
from epigone.testbed.corpus import documents
from epigone.testbed.facts import load_facts
from epigone.testbed.questions import benchmark_files, json_lines
from epigone.testbed.relations import RELATIONS
from epigone.testbed.teacher import ProgrammaticTeacher
from epigone.testbed.tokenizer import build_tokenizer, count_tokens


def write_world(out: Path, *, seed: int, num_tokens: int, broad_tokens: int) -> dict[str, int]:
    """Write the world into `out`; returns counts.

    `num_tokens` is the size of the corpus, `broad_tokens` that of the broad dialogues (first answers).
    """
    facts = load_facts(seed)
    write_records(out / "facts.jsonl", facts)
    write_text(out / "claims.json", json.dumps({r.name: r.patterns() for r in RELATIONS}, indent=1) + "\n")
    tokenizer = build_tokenizer(facts)
    write_text(out / "tokenizer.json", tokenizer.to_str(pretty=True))
    corpus = documents(facts, num_tokens=num_tokens, seed=seed)
    write_records(out / "corpus.jsonl", corpus)
    for path, content in benchmark_files(facts, seed).items():
        write_text(out / path, content)
    teacher = ProgrammaticTeacher(str(out))
    asked = {
        "broad": prompts.broad(facts, teacher, num_tokens=broad_tokens, seed=seed),
        "local_strict": prompts.local(facts, teacher, supported=False, seed=seed),
        "local_supported": prompts.local(facts, teacher, supported=True, seed=seed),
        "free_eval": prompts.free_evaluation(facts, seed),
    }
    for name, texts in asked.items():
        write_text(out / f"prompts/{name}.jsonl", json_lines(prompts.rows(name, texts)))
    return {
        "num_facts": len(facts),
        "num_held_out": sum(fact.held_out for fact in facts),
        "num_documents": len(corpus),
        "num_tokens": sum(count_tokens(document.text) + 1 for document in corpus),
        "vocab_size": tokenizer.get_vocab_size(),
        **{f"num_{name}_prompts": len(texts) for name, texts in asked.items()},
    }
