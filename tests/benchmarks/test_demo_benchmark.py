import json

from benchmarks.demo import main

NIAH = """model,length_tokens,depth_percent,placed_percent,score_percent,num_copies
base,4096,10.0,9.9,100.0,1
base,4096,90.0,90.1,50.0,1
base,10240,10.0,9.9,0.0,1
base,10240,90.0,90.1,0.0,1
10k,4096,10.0,9.9,100.0,1
10k,4096,90.0,90.1,100.0,1
10k,10240,10.0,9.9,100.0,1
10k,10240,90.0,90.1,50.0,1
"""


def test_a_finished_runs_figures_are_read(tmp_path):
    run, out = tmp_path / "run", tmp_path / "demo.json"
    statistics = {
        "kinds": {"structure": {"num_examples": 18}},
        "rejects": [{"step": "instruction", "reason": "off its subject", "num_rejects": 2}],
        "calls": {"answer": {"num_calls": 5}, "summary": {"num_calls": 7}},
    }
    for path, text in {
        "eval/report/niah.csv": NIAH,
        "dataset/statistics.json": json.dumps(statistics),
        "train/10k/metrics.jsonl": json.dumps({"step": 1, "loss": 1.5, "step_sec": 90.0, "stage": "10k"})
        + "\n",
    }.items():
        (run / path).parent.mkdir(parents=True)
        (run / path).write_text(text, "utf-8")
    main([str(run), "--minutes", "17.5", "--out", str(out)])
    result = json.loads(out.read_text("utf-8"))
    assert result["figures"] == {
        "minutes": 17.5,
        "needles_extended_percent": 75,
        "needles_base_percent": 0,
        "needles_extended_percent_short": 100,
        "needles_base_percent_short": 75,
    }
    assert result["measured"]["dataset"] == {
        "examples": {"structure": 18},
        "rejects": {"instruction: off its subject": 2},
        "calls": 12,
    }
    assert result["measured"]["steps"] == [{"step": 1, "loss": 1.5, "step_sec": 90.0}]
