"""Work in shards: one stage a shard and one that puts them together, so that any executor runs them side by side.

In: a dataset, or prompts; a model and a benchmark. Out: the last stage of a search or an evaluation in shards, which
holds the others.
See docs/how-to/sharding.md.
"""

from dataclasses import replace

from epigone.interfaces import StageSpec
from epigone.similarity.bleu import Settings
from epigone.spec import Artifact, Input
from epigone.stages.evaluate import Evaluate
from epigone.stages.index_queries import IndexQueries
from epigone.stages.join_scores import JoinScores
from epigone.stages.neighbours import Neighbours
from epigone.stages.search import Search


def sharded_search(
    queries: StageSpec | Artifact | Input,
    num_shards: int,
    *,
    against: StageSpec | Artifact | Input | None = None,
    settings: Settings | None = None,
    name: str = "queries",
) -> Neighbours:
    """The nearest neighbour of each query, among `against` or the other queries; the result is the same for any number
    of shards. The index is built once, then the shards are searched at the same time."""
    index = IndexQueries(queries, against, settings or Settings(), name)
    return Neighbours(tuple(Search(index, shard, num_shards, name) for shard in range(num_shards)), name)


def sharded_evaluation(whole: Evaluate, num_shards: int) -> Evaluate | JoinScores:
    """An evaluation in shards of its items; the records are the same for any number of shards."""
    if num_shards == 1:
        return whole
    shards = tuple(replace(whole, shard=shard, num_shards=num_shards) for shard in range(num_shards))
    return JoinScores(shards, whole.name)
