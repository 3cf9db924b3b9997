"""The whole loop: documents → dataset → stage by stage (train, export, serve, gate) → evaluation → report.

Each step is the job of the same name, which returns at once where its artefact is complete and refuses other settings:
killed anywhere and started again, the chain goes on.
"""

import contextlib
from collections.abc import Callable, Iterator

from app.bootstrap.rounds import Round, rounds_of
from app.config import Config, EvaluatedModelConfig
from app.corpus.pipeline import build_corpus
from app.dataset.pipeline import synthesize
from app.dataset.preflight import check_targets_fit, fillable_tokens
from app.faults import UserError
from app.progress.attempts import Report, attempt
from app.report.page import write_report
from app.retrieval.pipeline import build_index
from app.run import Run
from app.serving.access import read_key
from app.serving.preflight import check_serving
from app.serving.server import serving
from app.serving.sources import stage_of
from app.training.stages import prepare_training, train_stage
from eval.evaluation import Evaluation, is_evaluated
from eval.gate import Gate, describe_gate, gate_of, measure_gate, read_gate, refusal_of
from eval.models import model_names
from eval.suite import Endpoint

Serve = Callable[[Report], Endpoint]
"""Serves the models of its block from the first call on."""


def bootstrap(config: Config, run: Run, report: Report) -> None:
    """Do all rounds.

    Args:
        config: Checked settings; Ray is connected.
        run: Takes all that is made.
        report: Takes lines for the person who watches.

    Raises:
        UserError: The run was made with other settings, a model could not be served, or a gate refused to go on.
        RuntimeError: A stage stopped.
    """
    for each in rounds_of(config, run):
        if each.number > 1:
            report(f"round {each.number} of {config.bootstrap.rounds}")
            each.run.write_config(each.config)
        try:
            _Loop(each, report).run()
        finally:
            if each.number > 1:
                # The first page links to all rounds.
                write_report(config, run)


class _Loop:
    """One round."""

    def __init__(self, round_: Round, report: Report) -> None:
        self._config, self._run, self._report = round_.config, round_.run, report
        self._has_documents_of_its_own = round_.number == 1

    def run(self) -> None:
        if self._has_documents_of_its_own:
            with self._step("corpus") as report:
                build_corpus(self._config, self._run, report)
                check_targets_fit(self._config, fillable_tokens(self._config, self._run.corpus.folder))
            with self._step("index") as report:
                build_index(self._config, self._run, report)
        with self._step("synthesize") as report:
            synthesize(self._config, self._run, report)
        refusal = self._train()
        with self._step("report") as report:
            address = write_report(self._config, self._run)
            report(f"open      {address}")
        if refusal is not None:
            raise UserError(refusal)

    def _train(self) -> str | None:
        """Run all stages, each once the previous stage has passed its gate; then evaluate what there is.

        Returns:
            Why a gate refused to go on.
        """
        assert self._config.train is not None
        stages = self._config.train.stages
        for index, stage in enumerate(stages):
            with self._step(f"train {stage.name}") as report:
                if index == 0:
                    prepare_training(self._config, self._run, report)
                train_stage(self._config, self._run, index, report)
            gate = gate_of(self._config, index)
            if stage is not stages[-1]:
                with self._serving([] if gate is None else gate.models) as serve:
                    refusal = self._pass(gate, serve)
                if refusal is None:
                    continue
            # The last one that is trained: its gate and the evaluation share a server.
            trained = {each.name for each in stages[: index + 1]}
            names = [name for name in model_names(self._config) if self._is_there(name, trained)]
            with self._serving([*names, *(gate.models if gate else [])]) as serve:
                if stage is stages[-1]:
                    refusal = self._pass(gate, serve)
                self._evaluate(names, serve)
            return refusal
        raise AssertionError("there is a last stage")

    def _pass(self, gate: Gate | None, serve: Serve) -> str | None:
        """Measure a gate, or read what was measured; say why it refuses."""
        if gate is None:
            return None
        stage = gate.stage.name
        with self._step(f"gate {stage}") as report:
            record = read_gate(self._config, self._run, gate)
            if record is None:
                config = _asking(self._config, gate.models)
                evaluation = Evaluation(config, self._run, serve(report), report)
                record = measure_gate(self._config, self._run, gate, evaluation)
            report(describe_gate(stage, record))
        return refusal_of(self._config, stage, record)

    def _evaluate(self, names: list[str], serve: Serve) -> None:
        config = _asking(self._config, names)
        with self._step("evaluate") as report:
            if is_evaluated(config, self._run):
                report("evaluation: complete")
            else:
                Evaluation(config, self._run, serve(report), report).run()

    def _is_there(self, name: str, trained: set[str]) -> bool:
        """Whether a model can be served: it is none of the stages, or one that is trained."""
        stage = stage_of(self._config, name)
        return stage is None or stage.name in trained

    @contextlib.contextmanager
    def _serving(self, names: list[str]) -> Iterator[Serve]:
        """Inside the block these models can be served; where nothing is left to be asked, none is loaded."""
        config = _asking(self._config, names)
        endpoint: Endpoint | None = None
        with contextlib.ExitStack() as stack:

            def serve(report: Report) -> Endpoint:
                nonlocal endpoint
                if endpoint is None:
                    check_serving(config)
                    assert config.serve is not None
                    url = stack.enter_context(serving(config, report))
                    endpoint = Endpoint(url, read_key(config.serve))
                return endpoint

            yield serve

    @contextlib.contextmanager
    def _step(self, name: str) -> Iterator[Report]:
        with attempt(self._run.folder, name, self._config.progress.log_interval_sec, self._report) as report:
            yield report


def _asking(config: Config, names: list[str]) -> Config:
    """The settings with only these models to serve and evaluate."""
    assert config.serve is not None
    assert config.evaluate is not None
    served = {name: model for name, model in config.serve.models.items() if name in names}
    asked = {name: config.evaluate.models.get(name, EvaluatedModelConfig()) for name in dict.fromkeys(names)}
    return config.model_copy(
        update={
            "serve": config.serve.model_copy(update={"models": served}),
            "evaluate": config.evaluate.model_copy(update={"models": asked}),
        }
    )
