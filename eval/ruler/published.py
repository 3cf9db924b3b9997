"""Published scores to show next to one's own: means of the 13 tasks, in percent."""

from dataclasses import dataclass

K = 1024


@dataclass(frozen=True, slots=True)
class PublishedRow:
    """One model's means by length."""

    model: str
    source: str
    means: dict[int, float]
    """Length in tokens → mean."""


_SELFLONG = "Bootstrap Your Own Context Length, arXiv 2412.18860"
_RULER = "README of NVIDIA/RULER at c3f5e3b"


def _row(model: str, source: str, shortest_k: int, *means: float) -> PublishedRow:
    """Means of a length and of its doublings."""
    return PublishedRow(
        model, source, {shortest_k * K * 2**doubling: mean for doubling, mean in enumerate(means)}
    )


PUBLISHED = (
    _row("Llama-3.1-8B-Instruct", _SELFLONG, 32, 89.8, 85.4, 78.5),
    _row("Gradient-8B-1048k", _SELFLONG, 32, 81.8, 78.6, 77.2, 74.2, 70.3, 64.3),
    _row("SelfLong-1B", _SELFLONG, 32, 61.3, 56.6, 54.7, 46.7, 40.7, 31.1),
    _row("SelfLong-3B", _SELFLONG, 32, 80.5, 78.0, 75.5, 68.8, 58.5, 38.8),
    _row("SelfLong-8B", _SELFLONG, 32, 89.5, 84.0, 82.0, 79.7, 78.2, 69.6),
    _row("Llama-3.1-8B-Instruct", _RULER, 4, 95.5, 93.8, 91.6, 87.4, 84.7, 77.0),
    _row("Gradient-8B-1048k", _RULER, 4, 92.8, 90.3, 85.7, 79.9, 76.3, 69.5),
    _row("ProLong-8B-512k", _RULER, 4, 94.5, 92.5, 92.3, 89.3, 83.2, 81.6),
    _row(
        "Qwen2.5-7B-Instruct-1M", f"arXiv 2501.15383, by the {_RULER}", 4, 96.8, 95.3, 93.0, 91.1, 90.4, 84.4
    ),
    _row("MegaBeam-Mistral-7B-512k", _RULER, 4, 93.8, 92.5, 92.0, 89.2, 83.7, 83.7),
    _row("GLM4-9B-1M", _RULER, 4, 94.7, 92.8, 92.1, 89.9, 86.7, 83.1),
    _row("Llama2-7B-chat", _RULER, 4, 85.6),
    PublishedRow("Llama-3.1-8B-Instruct extended by Together", "arXiv 2504.12637", {1024 * K: 62.95}),
)
"""The paper's rows and its rivals'; those that are published as one mean over several lengths are not rows."""
PUBLISHED_DIFFER = (
    "Published rows were measured with RULER as it was before May 2025: its `vt` then had another text, and the "
    "example of `cwe` was a chat turn of its own. For the same model this alone can move the mean by several points."
)
