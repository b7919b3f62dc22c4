"""Raters fitted to votes of people, as a study takes them: one that is shipped as numbers, or a file of one's own.

In: a name or path. Out: the file, and what a report must say of it.
Source: `llmfao` is fitted to the votes of https://github.com/dustalov/llmfao (Ustalov 2023, CC BY 4.0) by
`epigone fit-rater`; it holds coefficients alone, no vote and no answer.
"""

from pathlib import Path

from epigone.errors import SpecError
from epigone.judges.fitted_rater import read_model

SHIPPED = {"llmfao": Path(__file__).parent / "studies" / "llmfao_rater.json"}


def fitted_file(rater: str) -> Path:
    """The file of a shipped rater, or the path itself. Raises SpecError where there is none."""
    path = SHIPPED.get(rater, Path(rater))
    if not path.is_file():
        raise SpecError(f"--fitted-rater {rater}: no such file; shipped is {', '.join(SHIPPED)}, `epigone fit-rater`"
                        " makes others")  # fmt: skip
    return path


def fitted_note(rater: str) -> str:
    """Which numbers come from it, what it rests on and how little it foretells. Raises DataError for another file."""
    found = read_model(fitted_file(rater))
    told = (
        f"Raters of expertise are simulated with weights of our choosing. Where a number says fitted, it comes from "
        f"the rater {found.name}, whose weights were fitted to {found.num_votes:,} {found.source or 'votes of people'} "
        f"by {found.num_raters} people on {found.num_prompts} prompts; its verdicts are drawn from that model, so they "
        "too are simulated."
    )
    if found.held_out is None:
        return told
    gain, accuracy, usual = found.held_out.gain, found.held_out.accuracy, found.held_out.usual_accuracy
    return (
        f"{told} On prompts held out it foretells {accuracy.value:.0%} of verdicts, the shares of verdicts alone "
        f"{usual.value:.0%}: a gain of {100 * gain.value:.1f} points [{100 * gain.low:.0f}, {100 * gain.high:.0f}]."
    )
