"""AlpacaEval's annotations.json: [{"instruction", "output_1", "output_2", "generator_1", "generator_2", "preference"}].

In: such an array, or the same rows one a line. Out: Judgment or Drop, prompts known by their text. `preference` is 1
(the first is better), 2 (the second), 1.5 or 0 (a tie), or a fraction between 1 and 2; null where nothing was parsed.
Which output was shown first is not recorded: AlpacaEval shuffles them and shuffles back.
Source: https://github.com/tatsu-lab/alpaca_eval (results/MODEL/JUDGE/annotations.json).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from epigone.records import Drop, Judgment, Verdict
from epigone.rows import beginning, finite, identity, instruction_of, prompt_id_of, read_array_or_rows, shown

_TIES = (0.0, 1.5)


@dataclass(frozen=True)
class AlpacaEval:
    """Reads preferences; the judge is a row's `annotator`, else the one that the file's folder is named after."""

    def fits(self, path: Path) -> bool:
        """Rows with output_1, output_2 and preference."""
        return {"instruction", "output_1", "output_2", "preference"} <= beginning(path).keys()

    def read(self, path: Path) -> Iterator[Judgment | Drop]:
        """One Judgment or Drop a row, in file order. Raises DataError where the file is cut off or not JSON."""
        named_after = path.absolute().parent.name
        for number, row in read_array_or_rows(path):
            row_id, prompt = f"row-{number}", instruction_of(row)
            a, b = (identity(row.get(name)) for name in ("generator_1", "generator_2"))
            preference = finite(row.get("preference"))
            if not prompt:
                yield Drop(row_id, "no prompt", f"instruction is {shown(row.get('instruction'))}")
            elif not a or not b:
                yield Drop(row_id, "no model name", "generator_1 and generator_2 are needed")
            elif preference is None or not (preference == 0 or 1 <= preference <= 2):
                yield Drop(row_id, "no verdict", f"preference is {shown(row.get('preference'))}; allowed: 0, 1 to 2")
            else:
                rater = identity(row.get("annotator")) or named_after
                verdict, share = _verdict(preference), None if preference in (0, 1, 1.5, 2) else 2 - preference
                prompt_id = prompt_id_of(prompt)
                yield Judgment(prompt_id, a, b, verdict, rater, "unknown", panel=rater, share_a=share)


def _verdict(preference: float) -> Verdict:
    if preference in _TIES:
        return "tie"
    return "a" if preference < 1.5 else "b"
