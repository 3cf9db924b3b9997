"""The probe's lines for the terminal, and its tables in Markdown."""

from collections.abc import Sequence

from app.markdown import escaped, table
from app.records.probe import ProbeRecord, ReadingRecord, RopeSearchRecord


def describe_reading(reading: ReadingRecord) -> str:
    """One candidate in a line."""
    loss = f"loss {reading.loss:.3f}"
    if reading.loss_beyond is not None:
        loss += f", {reading.loss_beyond:.3f} beyond the old limit"
    return (
        f"probe {reading.length_tokens:,}: {describe_rope(reading)}: needles {reading.num_found} of "
        f"{reading.num_asked}, {loss}"
    )


def describe_rope(reading: ReadingRecord) -> str:
    """A candidate's name with its base."""
    return f"{reading.name} (base {reading.rope_parameters['rope_theta']:,.0f})"


def describe_search(stage: str, record: RopeSearchRecord) -> str:
    """What a search took, in a line."""
    chosen = next(reading for reading in record.readings if reading.name == record.chosen)
    return (
        f"stage {stage}: RoPE {describe_rope(chosen)}: most needles found, {chosen.num_found} of {chosen.num_asked} "
        f"at {chosen.length_tokens:,} tokens, the best of {len(record.readings)} candidates"
    )


def render_probe(record: ProbeRecord, picture: str) -> str:
    """The probe's page in Markdown.

    Args:
        record: What was read.
        picture: Name of the picture's file beside the page.
    """
    lengths = sorted({reading.length_tokens for reading in record.readings})
    parts = [
        f"# Where the context of {escaped(record.model)} ends",
        f"The model was made for {record.old_tokens:,} tokens. Candidates are read untrained.",
        f"![Loss by position and needles by length]({picture})",
    ]
    for length in lengths:
        readings = [reading for reading in record.readings if reading.length_tokens == length]
        parts += [f"## {length:,} tokens", reading_table(readings)]
    return "\n\n".join(parts) + "\n"


def reading_table(readings: Sequence[ReadingRecord]) -> str:
    """Readings of one length as a table in Markdown."""
    rows = [
        [
            escaped(reading.name),
            f"{reading.rope_parameters['rope_theta']:,.0f}",
            f"{reading.num_found} of {reading.num_asked}",
            f"{reading.loss:.3f}",
            "" if reading.loss_beyond is None else f"{reading.loss_beyond:.3f}",
        ]
        for reading in readings
    ]
    return table(["RoPE"], ["base", "needles found", "loss", "loss beyond the old limit"], rows)
