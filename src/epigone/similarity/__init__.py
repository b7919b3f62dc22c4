"""Exact nearest-neighbour BLEU: for each text the most similar other text, equal to brute force with sacrebleu.

In: texts. Out: scores and partners. The way of the data: texts -> `tokens` -> `grams` -> `search` -> `bleu.Neighbours`;
`index` joins them.
"""

from epigone.similarity.bleu import Neighbours, Settings
from epigone.similarity.index import BleuIndex, nearest_of_each, nearest_without_index

__all__ = ["BleuIndex", "Neighbours", "Settings", "nearest_of_each", "nearest_without_index"]
