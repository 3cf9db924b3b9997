"""Random directed graphs, and the answers to what is asked of them."""

import random
from collections import defaultdict

Edge = tuple[str, str]
NODE_DIGITS = 8
EDGES_PER_NODE = 2.0


def draw_edges(rng: random.Random, num_edges: int) -> list[Edge]:
    """Different edges between nodes with hexadecimal names, in no order; none leads back to its own node.

    A node has two edges out of it on average, and two into it, so that a search widens from depth to depth.
    """
    num_nodes = max(round(num_edges / EDGES_PER_NODE), 3)
    names: list[str] = []
    known: set[str] = set()
    while len(names) < num_nodes:
        name = f"{rng.getrandbits(4 * NODE_DIGITS):0{NODE_DIGITS}x}"
        if name not in known:
            known.add(name)
            names.append(name)
    edges: dict[Edge, None] = {}
    most = num_nodes * (num_nodes - 1)
    while len(edges) < min(num_edges, most):
        edge = (names[rng.randrange(num_nodes)], names[rng.randrange(num_nodes)])
        if edge[0] != edge[1]:
            edges[edge] = None
    return list(edges)


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
    """Nodes with an edge to this one, in the order of their names."""
    return sorted({source for source, target in edges if target == node and source != node})
