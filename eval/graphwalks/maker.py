"""GraphWalks: a walk through a graph whose edges fill the prompt.

The prompt is that of openai/graphwalks with its four examples, put together from two copies of it in public code. With
the smallest published graph it has as many characters as the data set says. Tasks, names of nodes and score are the
published ones too. What differs: the graphs are drawn here, in the form of that one, as the card does not tell how its
own were. So scores are not to be compared with published ones.
"""

import random
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from app.config import GraphWalksConfig
from eval.fitting import fit
from eval.graphwalks.graphs import Edge, draw_edges, nodes_at_depth, parents_of
from eval.haystack import Haystack
from eval.prompt_frame import Prompt
from eval.prompt_maker import PromptMaker, grid_slots
from eval.samples import Sample, Slot
from eval.token_text import TokenText, tokenize

VERSION = 2
"""Goes up when the same settings give other samples."""
OPENING = """You will be given a graph as a list of directed edges. All nodes are at least degree 1. You will also get \
a description of an operation to perform on the graph.\x20
Your job is to execute the operation on the graph and return the set of nodes that the operation results in. If asked \
for a breadth-first search (BFS), only return the nodes that are reachable at that depth, do not return the starting \
node. If asked for the parents of a node, only return the nodes that have an edge leading to the given node, do not \
return the given node itself.

Here is an example:
<begin example>

The graph has the following edges:
uvwx -> alke
abcd -> uvwx
abcd -> efgh
efgh -> uvwx

Example 1:
Operation:
Perform a BFS from node abcd with depth 1.
Final Answer: [uvwx, efgh]

Example 2:
Operation:
Perform a BFS from node alke with depth 1.
Final Answer: []

Example 3:
Operation:
Find the parents of node uvwx.
Final Answer: [abcd, efgh]

Example 4:
Operation:
Find the parents of node abcd.
Final Answer: []

<end example>
Here is the graph to operate on:
The graph has the following edges:
"""
BFS = "Perform a BFS from node {node} with depth {depth}."
PARENTS = "Find the parents of node {node}."
CLOSING = """

Operation:
{operation}

You should immediately return the set of nodes that the operation results in, with no additional text. Return your \
final answer as a list of nodes in the very last line of your response. For example, if the operation returns the set \
of nodes [node1, node2, node3], your response should be:
Final Answer: [node1, node2, node3]
If the operation returns the empty set, your response should be:
Final Answer: []
"""
NUM_MEASURED_EDGES = 500
MAX_TRIES = 20
"""Starts that are tried for a depth before it is made less."""
SPARE_SHARE = 0.02
"""Edges that are drawn beyond what the length should take, as some have fewer tokens than others."""


class GraphWalksMaker(PromptMaker):
    """The samples: tasks `bfs` and `parents`.

    Args:
        config: `graphwalks`, and the template that stands around.
        tokenizer: Tokenizer of the model.
        seed: Decides all that is drawn.
    """

    suite, version = "graphwalks", VERSION

    def identity(self) -> dict[str, Any]:
        """See `SampleMaker`."""
        return self._identity(
            seed=self._seed,
            depths=self._settings.depths,
            max_output_tokens=self._settings.max_output_tokens,
        )

    def slots(self) -> list[Slot]:
        """See `SampleMaker`."""
        return grid_slots(self._settings, self._settings.tasks)

    def make(self, slot: Slot) -> Sample:
        """See `SampleMaker`.

        Raises:
            UserError: The length is too short for a graph.
        """
        rng = random.Random(f"graphwalks {self._seed} {slot.sample_id}")
        limit = slot.length_tokens - self._settings.max_output_tokens
        edges = draw_edges(rng, max(round(limit / self._edge_tokens * (1 + SPARE_SHARE)), 8))
        listed = Haystack(self._tokenizer, _lines(edges), "").reaching(1)
        depth = self._settings.depths[slot.index % len(self._settings.depths)]
        drawn = rng.random()

        def build(index: int) -> _Built:
            # One edge at least, or there is nothing to ask.
            shown = listed.tokens.cut(0, int(listed.lines[max(index, 1)]))
            # Not the index: where a token spans two lines there is no place to cut.
            graph = edges[: shown.text.count("\n")]
            operation, nodes = _ask(slot.task, graph, depth, drawn)
            closing = tokenize(self._tokenizer, CLOSING.format(operation=operation))
            prompt = self._frame.prompt([self._opening, shown, closing])
            return _Built(prompt, operation, nodes, len(graph))

        built = fit(build, listed.lines, limit)
        return Sample(
            sample_id=slot.sample_id,
            task=slot.task,
            length_tokens=slot.length_tokens,
            token_ids=built.prompt.ids,
            max_output_tokens=self._settings.max_output_tokens,
            references=built.nodes,
            facts={"operation": built.operation, "num_edges": built.num_edges},
            content=built.prompt.content,
        )

    @cached_property
    def _edge_tokens(self) -> float:
        """Mean tokens of an edge's line."""
        sample = draw_edges(random.Random("edges"), NUM_MEASURED_EDGES)
        return len(tokenize(self._tokenizer, _lines(sample))) / len(sample)

    @cached_property
    def _opening(self) -> TokenText:
        return tokenize(self._tokenizer, OPENING)

    @property
    def _settings(self) -> GraphWalksConfig:
        return self._config.graphwalks


@dataclass(frozen=True, slots=True)
class _Built:
    prompt: Prompt
    operation: str
    nodes: list[str]
    num_edges: int

    def __len__(self) -> int:
        """Tokens of the prompt."""
        return len(self.prompt)


def _ask(task: str, edges: list[Edge], depth: int, drawn: float) -> tuple[str, list[str]]:
    """An operation with an answer that is not empty, and that answer.

    The search starts at a node from which the depth is reached; if there is none, the deepest that is.
    """
    first = int(drawn * len(edges))
    places = [edges[(first + place) % len(edges)] for place in range(len(edges))]
    if task == "parents":
        target = next(target for source, target in places if source != target)
        return PARENTS.format(node=target), parents_of(edges, target)
    for wanted in range(depth, 0, -1):
        for start, _ in places[: MAX_TRIES if wanted > 1 else None]:
            if nodes := nodes_at_depth(edges, start, wanted):
                return BFS.format(node=start, depth=wanted), nodes
    raise AssertionError("some edge leads to another node")


def _lines(edges: list[Edge]) -> str:
    return "".join(f"{source} -> {target}\n" for source, target in edges)
