"""The report's part on RoPE: what the candidates for each stage found before it trained."""

from app.html import Html, count_cell, decimal_cell, joined, picture, pictures, table
from app.probing.pictures import draw_probe
from app.records.probe import RopeSearchRecord
from app.report.reading import TrainedStage


def render_searches(stages: list[TrainedStage]) -> list[Html]:
    """A table and a picture for each stage that has searched its RoPE; the chosen candidate is bold."""
    return [_render(stage.name, stage.search) for stage in stages if stage.search is not None]


def _render(stage: str, search: RopeSearchRecord) -> Html:
    rows = [
        [
            reading.name,
            count_cell(reading.rope_parameters["rope_theta"]),
            f"{reading.num_found} of {reading.num_asked}",
            decimal_cell(reading.loss, ".3f"),
            decimal_cell(reading.loss_beyond, ".3f"),
        ]
        for reading in search.readings
    ]
    chosen = [reading.name for reading in search.readings].index(search.chosen)
    caption = (
        f"RoPE of stage {stage}: candidates, read untrained at {search.readings[0].length_tokens:,} tokens"
    )
    heads = ["base", "needles found", "loss", f"loss beyond {search.old_tokens:,} tokens"]
    title = f"Candidates for stage {stage}, untrained"
    drawn = draw_probe(search.readings, search.old_tokens, title, search.chosen)
    shown = pictures([picture(drawn, f"{title}: needles by length and loss by position")])
    return joined([table(caption, ["RoPE"], heads, rows, bold=[chosen]), shown], "\n")
