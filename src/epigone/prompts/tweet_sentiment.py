"""Sentiment of tweets: tweets with a word for their sentiment, made by a teacher out of ten.

In: a teacher. Out: conversations that ask for a tweet's sentiment and answer with one word. The ten tweets and the
template are our own, in the shape of Tables 3 and 4.
Source: the paper (arXiv 2305.15717) names the sentiment of tweets as what local imitation may be about, and shows no
data of it.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from epigone.interfaces import Filter, Grown, LanguageModel, Rounds
from epigone.synthesis.pairs import Pairs
from epigone.synthesis.template import Template, read_examples

SEEDS = Path(__file__).parent / "seeds" / "tweet_sentiment.jsonl"
TEMPLATE = Path(__file__).parent / "seeds" / "tweet_sentiment.txt"
QUESTION = "Is the sentiment of this tweet positive, negative or neutral? Answer with one word.\n\n{tweet}"


@dataclass(frozen=True)
class TweetSentiment:
    """Five of the ten tweets in random order, several new ones a reply."""

    temperature: float | int = 1.0
    """Of the replies."""
    max_tokens: int = 512
    """Longest reply; the last tweet of one that is cut off is malformed."""
    duplicates: str = "question"
    """What may not come twice: question (the tweet, whatever its sentiment) or pair."""

    def grow(self, model: LanguageModel, rounds: Rounds, leaks: Filter | None) -> Grown:
        """Ask for tweets, round after round."""
        return self.pairs.grow(model, rounds, leaks)

    @cached_property
    def pairs(self) -> Pairs:
        """The seeds, the template and what is made of them."""
        template = Template.load(TEMPLATE)
        seeds = read_examples(SEEDS, template)
        sampling = {"temperature": self.temperature, "max_tokens": self.max_tokens}
        return Pairs("tweet", seeds, template, QUESTION, "{sentiment}", duplicates=self.duplicates, **sampling)
