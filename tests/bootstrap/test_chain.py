"""The order of the steps, with every job replaced by a note of its call: what runs, what is served, what stops it."""

import contextlib

import pytest

from app.bootstrap import chain
from app.bootstrap.chain import bootstrap
from app.faults import UserError
from app.progress.attempts import read_attempts
from app.run import Run
from tests.bootstrap.loop_settings import loop_config
from tests.record_makers import corpus_record, gate_record, stage_record


class Jobs:
    """Notes what the chain calls."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[str] = []
        self.percents = {"10k": 90.0, "20k": 90.0, "40k": 90.0}
        self.evaluated: list[list[str]] = []
        self.fails_at = ""
        for name in ("build_corpus", "build_index", "synthesize", "prepare_training"):
            self.replace(monkeypatch, name, lambda *_, name=name: self.note(name))
        self.replace(monkeypatch, "check_targets_fit", lambda *_: None)
        self.replace(monkeypatch, "check_serving", lambda config: None)
        self.replace(monkeypatch, "train_stage", self.train_stage)
        self.replace(monkeypatch, "serving", self.serving)
        self.replace(monkeypatch, "measure_gate", self.measure_gate)
        self.replace(monkeypatch, "Evaluation", self.evaluation)
        self.replace(monkeypatch, "write_report", self.write_report)

    def replace(self, monkeypatch, name, double):
        monkeypatch.setattr(chain, name, double)

    def note(self, call):
        self.calls.append(call)
        if call == self.fails_at:
            raise RuntimeError(call)

    def train_stage(self, config, run, index, report):
        stage = config.train.stages[index]
        if not run.stage(stage.name).is_complete():
            self.note(f"train {stage.name} of {config.generator.model.rpartition(':')[2]}")
            run.stage(stage.name).complete(stage_record(stage.name))

    @contextlib.contextmanager
    def serving(self, config, report):
        self.note(f"serve {' '.join(config.serve.models)}")
        yield "http://127.0.0.1:1/v1"
        self.calls.append("stop")

    def measure_gate(self, config, run, gate, evaluation):
        self.note(f"gate {gate.stage.name}")
        found = self.percents[gate.stage.name]
        record = gate_record(found, before=None, length_tokens=gate.niah_tokens)
        record = record.model_copy(update={"asked": gate.asked(config)})
        record.write(run.gates, f"{gate.stage.name}.json")
        return record

    def evaluation(self, config, run, endpoint, report):
        jobs = self

        class Asked:
            def run(self):
                jobs.note(f"evaluate {' '.join(config.evaluate.models)}")
                jobs.evaluated.append(list(config.evaluate.models))

        return Asked()

    def write_report(self, config, run):
        self.note("report")
        return f"{run.folder.uri}/report.html"


@pytest.fixture
def jobs(monkeypatch) -> Jobs:
    found = Jobs(monkeypatch)
    monkeypatch.setattr(chain, "is_evaluated", lambda config, run: bool(found.evaluated))
    return found


def start(config) -> None:
    run = Run(config.run_dir)
    run.corpus.complete(corpus_record(num_tokens=1))
    bootstrap(config, run, lambda line: None)


DATA = ["build_corpus", "build_index", "synthesize", "prepare_training"]
MODEL = "smollm2-135m-instruct"
WHOLE = [
    *DATA,
    *(f"train 10k of {MODEL}", "serve base 10k", "gate 10k", "stop"),
    *(f"train 20k of {MODEL}", "serve base 20k", "gate 20k", "stop"),
    # The last gate and the evaluation share a server.
    *(f"train 40k of {MODEL}", "serve base 10k 20k 40k", "gate 40k", "evaluate base 10k 20k 40k", "stop"),
    "report",
]


def test_all_steps_in_their_order(jobs, tmp_path):
    config = loop_config(tmp_path)
    start(config)
    assert jobs.calls == WHOLE
    steps = [(each.step, each.outcome) for each in read_attempts(Run(config.run_dir).folder)]
    names = ["corpus", "index", "synthesize", "train 10k", "gate 10k", "train 20k", "gate 20k", "train 40k"]
    assert steps == [(name, "done") for name in [*names, "gate 40k", "evaluate", "report"]]


def test_a_whole_run_started_again_loads_no_model(jobs, tmp_path):
    start(loop_config(tmp_path))
    jobs.calls.clear()
    start(loop_config(tmp_path))
    assert jobs.calls == [*DATA, "report"]


@pytest.mark.parametrize("failing", WHOLE[:-1:3])
def test_started_again_it_goes_on_where_it_failed(jobs, tmp_path, failing):
    jobs.fails_at = failing
    with pytest.raises(RuntimeError):
        start(loop_config(tmp_path))
    done = [call for call in jobs.calls[:-1] if call.startswith(("train", "gate", "evaluate"))]
    jobs.fails_at, before = "", len(jobs.calls)
    start(loop_config(tmp_path))
    again = jobs.calls[before:]
    assert not set(done) & set(again)
    whole = [call for call in WHOLE if call.startswith(("train", "gate", "evaluate"))]
    assert done + [call for call in again if call.startswith(("train", "gate", "evaluate"))] == whole


def test_a_gate_stops_the_chain_before_the_next_stage_and_the_report_tells(jobs, tmp_path):
    jobs.percents["20k"] = 40.0
    with pytest.raises(UserError, match=r"stage 20k finds 40\.0 % of the needles .* less than 50"):
        start(loop_config(tmp_path))
    assert not [call for call in jobs.calls if "train 40k" in call]
    assert jobs.calls[-4:] == ["serve base 10k 20k", "evaluate base 10k 20k", "stop", "report"]


def test_a_lower_threshold_lets_it_go_on_without_asking_again(jobs, tmp_path):
    jobs.percents["20k"] = 40.0
    with pytest.raises(UserError, match="less than 50"):
        start(loop_config(tmp_path))
    jobs.calls.clear()
    jobs.evaluated.clear()
    start(loop_config(tmp_path, "--bootstrap.gate.min_niah_percent", "30"))
    assert "gate 20k" not in jobs.calls
    assert "gate 40k" in jobs.calls


def test_without_thresholds_there_is_no_gate(jobs, tmp_path):
    start(loop_config(tmp_path, "--bootstrap.gate", "{}"))
    assert [call for call in jobs.calls if call.startswith(("gate", "serve"))] == ["serve base 10k 20k 40k"]


def test_a_second_round_reads_the_same_documents_with_another_generator(jobs, tmp_path):
    config = loop_config(tmp_path, "--bootstrap.rounds", "2", "--bootstrap.gate", "{}")
    start(config)
    first, second = jobs.calls[: jobs.calls.index("report") + 1], jobs.calls[jobs.calls.index("report") + 1 :]
    assert first[:4] == DATA
    assert second[:3] == ["synthesize", "prepare_training", f"train 10k of {tmp_path}/run/train/40k/export"]
    # The first round's page once more: it links to the second's.
    assert second[-2:] == ["report", "report"]
    later = Run(f"{config.run_dir}/round2").folder.read_json("config.json")["config"]
    assert later["generator"]["model"] == f"{tmp_path}/run/train/40k/export"
    assert later["train"]["model"] == f"bundled:{MODEL}"


def test_a_refused_last_gate_starts_no_second_round(jobs, tmp_path):
    jobs.percents["40k"] = 0.0
    with pytest.raises(UserError, match=r"stage 40k finds 0\.0 %"):
        start(loop_config(tmp_path, "--bootstrap.rounds", "2"))
    assert jobs.calls == WHOLE
