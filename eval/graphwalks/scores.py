"""Scores of GraphWalks: F1 of the sets of nodes, as its data card publishes it."""

import re
from collections.abc import Sequence

_LIST = re.compile(r"Final Answer: ?\[(.*)\]")


def answered_nodes(reply: str) -> set[str]:
    """The nodes between the brackets of a reply's last line; empty where that has no `Final Answer: [...]`.

    The card's own code, as printed, leaves `Final Answer: [` in front of the first node. Here it is left out. Blank
    lines at the end do not count.
    """
    found = _LIST.search(reply.rstrip().rsplit("\n", 1)[-1])
    return {node.strip() for node in found[1].split(",") if node.strip()} if found else set()


def set_f1(reply: str, nodes: Sequence[str]) -> float:
    """Harmonic mean of precision and recall of the nodes, in [0, 1]; 0 where none is right."""
    said, wanted = answered_nodes(reply), set(nodes)
    shared = len(said & wanted)
    return 2 * shared / (len(said) + len(wanted)) if shared else 0.0
