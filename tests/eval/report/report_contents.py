"""Made-up results of any number of models, for the report's tests."""

import random
from dataclasses import dataclass

from eval.report.contents import (
    Counts,
    NiahResult,
    RecallResult,
    RecallScore,
    ReportContents,
    RulerResult,
    ShortResult,
    ShortScore,
)

TASKS = (
    "niah_single_1",
    "niah_single_2",
    "niah_single_3",
    "niah_multikey_1",
    "niah_multikey_2",
    "niah_multikey_3",
    "niah_multivalue",
    "niah_multiquery",
    "vt",
    "cwe",
    "fwe",
    "qa_1",
    "qa_2",
)
LENGTHS = [4096 << power for power in range(9)]
DEPTHS = [10.0 * step for step in range(11)]
NAMES = ["Llama-3.2-1B-Instruct", "256k", "512k", "1m", "Llama-3-8B-Instruct-Gradient-1048k", "ultralong-1m"]


@dataclass(frozen=True)
class Published:
    model: str
    source: str
    means: dict[int, float]


def make_contents(num_models, lengths=tuple(LENGTHS), gaps=False, copies=False):
    lengths = list(lengths)
    names = NAMES[:num_models]
    return ReportContents(
        models=names,
        results={
            "niah": [make_niah(index, name, lengths, gaps, copies) for index, name in enumerate(names)],
            "ruler": [make_ruler(index, name, lengths, gaps) for index, name in enumerate(names)],
            "short": [make_short(index, name) for index, name in enumerate(names)],
            "recall": [make_recall(index, name) for index, name in enumerate(names)],
        },
    )


PUBLISHED = [
    Published("Made-up-8B", "A paper", dict(zip(LENGTHS[3:6], (89.8, 85.4, 78.5), strict=True))),
    Published(
        "Made-up-8B",
        "A README",
        dict(zip(LENGTHS[:6], (95.5, 93.8, 91.6, 87.4, 84.7, 77), strict=True)),
    ),
    Published("Made-up-1M", "A paper", dict(zip(LENGTHS[3:], (89.5, 84, 82, 79.7, 78.2, 69.6), strict=True))),
    Published("Made-up-4M", "A report", {4 << 20: 50.0}),
]


def make_niah(index, name, lengths, gaps=False, copies=False):
    rng = random.Random(name)
    reach = 3 + 1.6 * index

    def score(x, depth):
        if gaps and rng.random() < 0.06:
            return None
        lost = max(x - reach + 1.4 * (1 - abs(depth - 50) / 50), 0)
        return 100 * round(max(1 - lost / 3 - 0.15 * rng.random() * (lost > 0), 0) * 5) / 5

    scores = [[score(x, depth) for x in range(len(lengths))] for depth in DEPTHS]
    num_gaps = sum(value is None for row in scores for value in row)
    return NiahResult(
        model=name,
        lengths_tokens=lengths,
        depths_percent=DEPTHS,
        scores=scores,
        placed_percent=[[depth] * len(lengths) for depth in DEPTHS],
        counts=Counts(5 * len(lengths) * len(DEPTHS), num_failed=num_gaps),
        num_copies={lengths[-1]: 2} if copies else {},
        prefill_share=0.5512,
    )


def make_ruler(index, name, lengths, gaps=False):
    rng = random.Random(name)
    top = 82 + 3 * index
    scores = {
        task: {
            length: max(min(top - (7 - index) * max(place - 2, 0) ** 1.2 + rng.uniform(-8, 8), 100.0), 0.0)
            for place, length in enumerate(lengths)
        }
        for task in TASKS
    }
    if gaps:
        scores["vt"][lengths[-1]] = None
    means = {}
    for length in lengths:
        values = [scores[task][length] for task in TASKS]
        means[length] = None if None in values else sum(values) / len(values)
    return RulerResult(
        model=name,
        lengths_tokens=lengths,
        scores=scores,
        means=means,
        counts=Counts(13 * 100 * len(lengths), num_failed=3 if gaps else 0),
        intervals={length: (mean - 2.1, mean + 1.8) for length, mean in means.items() if mean is not None},
        weighted_means={"w. inc": 61.2 + index, "w. dec": 70.25},
        published=PUBLISHED,
        threshold=85.6,
        effective_length_tokens=lengths[min(index, len(lengths) - 1)] if index else None,
    )


def make_short(index, name):
    scores = [
        ("ifeval", "prompt_level_strict_acc", 77.4),
        ("leaderboard_mmlu_pro", "acc", 37.5),
        ("gpqa", "acc_norm", 26.8),
    ]
    return ShortResult(
        name, [ShortScore(task, metric, value - 2.3 * index, 1.1, 541) for task, metric, value in scores]
    )


def make_recall(index, name):
    return RecallResult(
        name, [RecallScore("facts", 4096, 50, 92.0, 70.0 + index, 22.0, 68.0, 31.0)], Counts(150)
    )
