from benchmarks.training_counts import WINDOW_TOKENS, count_step, step_flops


def test_a_step_computes_attention_once_and_its_mlps_twice():
    assert count_step() == {"attention_forwards_per_layer": 1.0, "mlp_forwards_per_layer": 2.0}


def test_a_window_saves_most_of_a_long_documents_attention():
    assert step_flops(WINDOW_TOKENS) < 0.4 * step_flops(None)
