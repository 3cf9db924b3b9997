"""Settings of the page that shows a dataset, and of a preview of one."""

from pydantic import PositiveInt

from app.config.section import NonNegativeCount, Section


class ViewConfig(Section):
    """`longstrap view` and `longstrap preview`: what of a dataset stands on its page."""

    num_examples: PositiveInt = 200
    """Most examples on the page. Of a larger dataset it is a sample with all kinds and tasks, the same each time."""
    num_rejects: NonNegativeCount = 200
    """Most rejects on the page. Of more it is a sample with all reasons."""
    around_chars: NonNegativeCount = 400
    """Characters of a context that stand before and after its evidence. A context's beginning and end are shown too."""
    context_chars: PositiveInt = 20_000
    """Most characters of one context on the page. What is not shown of a shorter context is folded away; of a longer
    one it is left out, and the page says how many characters that are."""
    text_chars: PositiveInt = 4_000
    """Most characters of an instruction, of an answer, and of what is said of a reject."""


class PreviewConfig(Section):
    """`longstrap preview`: a few seeds of the dataset through everything."""

    num_seeds: PositiveInt = 10
    """Seeds to make, shared out to the kinds as in the dataset."""
