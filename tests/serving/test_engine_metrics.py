"""Engine metrics out of what Ray exports."""

from app.serving.engine_metrics import engine_lines

ONE = """\
# HELP ray_vllm_tokens Tokens.
# TYPE ray_vllm_tokens counter
ray_vllm_tokens{ReplicaId="a"} 1.0
# HELP ray_node_cpu CPUs.
# TYPE ray_node_cpu gauge
ray_node_cpu{ip="x"} 2.0
"""
TWO = ONE.replace('"a"', '"b"').replace("1.0", "5.0")


def test_families_of_engines_are_kept_and_described_once():
    assert engine_lines([ONE, "", TWO]).decode() == (
        "# HELP ray_vllm_tokens Tokens.\n"
        "# TYPE ray_vllm_tokens counter\n"
        'ray_vllm_tokens{ReplicaId="a"} 1.0\n'
        'ray_vllm_tokens{ReplicaId="b"} 5.0\n'
    )


def test_nothing_comes_of_nothing():
    assert engine_lines(["", "ray_vllm_tokens 1\n"]) == b""
