"""FastChat's pairwise judgments: {"question_id", "model_1", "model_2", "g1_winner", "g2_winner", "judge", "turn"}.

In: JSON lines (gpt-4_pair.jsonl of MT-bench). Out: two Judgments or Drops a row: game 1 showed model_1 first, game 2
model_2. Only first turns are read, since an answer's second turn is no record of ours.
Source: https://github.com/lm-sys/FastChat (fastchat/llm_judge/common.py, play_a_match_pair; arXiv 2306.05685).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from epigone.records import Drop, Judgment, Verdict
from epigone.rows import beginning, identity, read_array_or_rows, shown

_VERDICTS: dict[str, Verdict] = {"model_1": "a", "model_2": "b", "tie": "tie"}
_GAMES: tuple[tuple[int, Literal["a", "b"]], ...] = ((1, "a"), (2, "b"))


@dataclass(frozen=True)
class FastChatPairs:
    """Reads both games of every pair; each order of showing is a rater of the judge's panel."""

    def fits(self, path: Path) -> bool:
        """Rows with model_1, model_2 and g1_winner."""
        return {"model_1", "model_2", "g1_winner"} <= beginning(path).keys()

    def read(self, path: Path) -> Iterator[Judgment | Drop]:
        """Two Judgments or Drops a row, in file order. Raises DataError where a line is no JSON object."""
        for number, row in read_array_or_rows(path):
            for game, first in _GAMES:
                yield _game(row, game, first, number)


def _game(row: dict[str, object], game: int, first: Literal["a", "b"], number: int) -> Judgment | Drop:
    prompt_id, a, b = (identity(row.get(name)) for name in ("question_id", "model_1", "model_2"))
    judge = row.get("judge")
    panel = identity(judge[0] if isinstance(judge, list) and judge else judge) or "judge"
    winner, turn = row.get(f"g{game}_winner"), row.get("turn", 1)
    game_id = f"{prompt_id or f'row-{number}'} order {game}"
    if not (prompt_id and a and b):
        return Drop(game_id, "no ids", f"row {number} needs question_id, model_1 and model_2")
    if turn != 1:
        return Drop(game_id, "second turn" if turn == 2 else "no first turn", f"turn {shown(turn)}")
    if not isinstance(winner, str) or winner not in _VERDICTS:
        return Drop(game_id, "no verdict", f"g{game}_winner is {shown(winner)}; allowed: {', '.join(_VERDICTS)}")
    return Judgment(prompt_id, a, b, _VERDICTS[winner], f"{panel} order {game}", first, panel=panel)
