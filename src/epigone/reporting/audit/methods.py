"""The methods paragraph: what was done, in sentences that can be pasted into a paper, from the findings alone.

In: AuditFindings without it. Out: plain text, one paragraph.
"""

from collections.abc import Iterator

import epigone
from epigone.metrics.resampling import NUM_RESAMPLES
from epigone.reporting.audit.findings import AuditFindings


def methods(findings: AuditFindings) -> str:
    """What was measured on what and how, and with which uncertainty."""
    return " ".join(_sentences(findings))


def _sentences(f: AuditFindings) -> Iterator[str]:
    students = _listed(list(f.students))
    base = f", base {f.base}" if f.base else ", no base"
    yield (
        f"Stored answers of {students} were compared with those of the teacher {f.teacher}{base} on {f.num_prompts} "
        f"prompts with epigone {epigone.__version__} (audit {f.study_id})."
    )
    if f.ceiling:
        kind = "a second sample" if f.ceiling_is == "second sample" else "another version, not a second sample,"
        yield f"{f.ceiling} is {kind} of the teacher and stands for the ceiling of the style metrics."
    else:
        yield "No second sample of the teacher was at hand, so style has no ceiling."
    yield (
        "Style follows Table 2 of Gudibande et al. (2023) by fixed rules: the share of the teacher's lists (two "
        "or more "
        "item lines) and of its summary paragraphs that the student also answers with one, the clipped F1 of "
        "words, and "
        "Pearson's r of word counts; besides, a distance over ten features scaled by the teacher's distance between "
        "its own answers to different prompts, and the out-of-fold AUC of a linear classifier on character n-grams. "
        "Prompts with an empty answer are left out. The floor is the teacher's own answers paired with other prompts."
    )
    yield (
        f"Intervals are 95 % percentile intervals of a bootstrap over prompts ({NUM_RESAMPLES} resamples, the same for "
        "all models, hence paired). Differences were tested by McNemar's exact test where both models were right or "
        "wrong on the same items, else by the bootstrap; wins against losses by an exact sign test; p-values are "
        f"Holm-adjusted over {_num_tests(f)} tests."
    )
    if f.fits:
        panels = _listed([fit.panel + (f" ({fit.criterion})" if fit.criterion else "") for fit in f.fits])
        yield (
            f"Judgments of {panels} were taken as recorded; of several ratings of a prompt the majority counts, a "
            "three-way split as a tie. Strengths are Bradley-Terry with ties (Davidson 1970) with standard errors "
            "clustered by prompt; style control adds the differences in log words, list, summary, bold and headers."
        )
    if f.expertise:
        yield (
            "Raters' expertise was estimated from comparisons with a known answer (attention checks, and pairs of "
            "which just one answer is right by a reference), shrunk to the mean of all raters (beta-binomial), and the "
            "rate of equal or better regressed on it (logistic, bootstrap over raters and prompts); those comparisons "
            "count in no preference by expertise."
        )
    if any(m.kind == "capability" for m in f.measured):
        yield (
            "Benchmark scores were imported, not re-run; only scores under equal protocols were compared. Gap "
            "closed is "
            "(student - base) / (teacher - base)."
        )
    else:
        yield "Capability was not measured."


def _num_tests(f: AuditFindings) -> int:
    return sum(c.p is not None for c in f.contrasts) + sum(d.p_holm is not None for d in f.direct)


def _listed(names: list[str]) -> str:
    if len(names) > 8:
        return f"{', '.join(names[:6])} and {len(names) - 6} more"
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else "".join(names)
