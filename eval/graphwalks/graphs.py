"""Random directed graphs, and the answers to what is asked of them."""

import hashlib
import random
from collections import defaultdict

Edge = tuple[str, str]
NAME_DIGITS = 10
EDGES_PER_NODE = 4
"""As in the published prompt of 11 nodes."""


def draw_edges(rng: random.Random, num_edges: int) -> list[Edge]:
    """Edges in the form of the published graphs: node by node, as many from each, to any nodes.

    Nodes are called by a hash of their number. An edge may come twice, or lead back to its own node.
    """
    num_nodes = max(-(-num_edges // EDGES_PER_NODE), 3)
    names = [node_name(number) for number in range(num_nodes)]
    edges = [(source, names[rng.randrange(num_nodes)]) for source in names for _ in range(EDGES_PER_NODE)]
    return edges[:num_edges]


def node_name(number: int) -> str:
    """What the node of a number is called."""
    return hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest()[:NAME_DIGITS]


def nodes_at_depth(edges: list[Edge], start: str, depth: int) -> list[str]:
    """Nodes whose shortest way from the start has so many edges, in the order of their names."""
    children: dict[str, list[str]] = defaultdict(list)
    for source, target in edges:
        children[source].append(target)
    seen, level = {start}, {start}
    for _ in range(depth):
        level = {child for node in level for child in children[node]} - seen
        seen |= level
    return sorted(level)


def parents_of(edges: list[Edge], node: str) -> list[str]:
    """Other nodes with an edge to this one, in the order of their names."""
    return sorted({source for source, target in edges if target == node and source != node})
