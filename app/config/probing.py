"""Settings of the probe, which reads models untrained to find where a context ends and what RoPE extends it best."""

from typing import Annotated

from pydantic import Field, PositiveInt

from app.config.checks import SomeDistinct
from app.config.section import OPERATIONAL, Section


class ProbeConfig(Section):
    """The probe: needles and loss by position for the candidates of `rope_theta: search` and for `longstrap probe`.

    Needles, question, haystack and template are those of `evaluate.niah`.
    """

    lengths_tokens: Annotated[SomeDistinct[PositiveInt] | None, Field(json_schema_extra=OPERATIONAL)] = None
    """Lengths that `longstrap probe` reads. If omitted, the model's own and those of the stages; without stages, 1,
    1.25, 1.5 and 2 times its own."""
    num_haystacks: PositiveInt = 2
    """Texts that each candidate reads per length. The cost grows with it."""
    num_needles: Annotated[int, Field(ge=1, le=64)] = 10
    """Needles in each text, from its beginning to its end; each has a question of its own. They cost almost nothing,
    but stand in each other's way."""
