"""The suites whose samples are made here, by name."""

from collections.abc import Callable

from eval.niah import NiahMaker
from eval.recall.maker import RecallMaker
from eval.ruler.maker import RulerMaker
from eval.samples import SampleMaker

MAKERS: dict[str, Callable[..., SampleMaker]] = {
    "niah": NiahMaker,
    "ruler": RulerMaker,
    "recall": RecallMaker,
}
