import math
from io import BytesIO

import pytest
from PIL import Image

from app.config import StageConfig
from app.report.curves import draw_curve, running_mean
from app.report.reading import TrainedStage
from tests.report.report_runs import step_record

SETTINGS = StageConfig(
    name="256k", max_seq_tokens=1024, mix={"a": 1.0}, num_steps=100, batch_tokens=1024, learning_rate=1e-5
)


def test_the_mean_is_of_the_last_steps_and_passes_over_gaps():
    values = [4.0, 2.0, math.nan, 6.0]
    assert running_mean(values, 2) == [4.0, 3.0, 2.0, 6.0]
    assert running_mean(values, 10) == [4.0, 3.0, 3.0, 4.0]
    assert math.isnan(running_mean([math.nan])[0])


@pytest.mark.parametrize(
    "losses", [[2.0], [None], [2.0, None, 1.0], [3.0 - step / 100 for step in range(100)]]
)
def test_any_losses_are_a_picture(losses):
    steps = [step_record("256k", step, 1024, loss) for step, loss in enumerate(losses, 1)]
    stages = [TrainedStage(SETTINGS, None, steps), TrainedStage(SETTINGS, None, [])]
    with Image.open(BytesIO(draw_curve(stages, "loss", "Loss", "nats"))) as drawn:
        assert drawn.format == "PNG"
        assert drawn.size[0] >= 600
        assert len(drawn.convert("L").getcolors()) > 10
