"""The verbs that train, probe, serve and evaluate models. Slow imports wait in here."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.config import RunConfig
    from app.progress.attempts import Report
    from app.run import Run


def check_training(config: "RunConfig") -> None:
    from app.training import preflight

    preflight.check_training(config)


def train_stages(config: "RunConfig", run: "Run", report: "Report") -> None:
    from app.training.stages import train

    train(config, run, report)


def check_probe(config: "RunConfig") -> None:
    from app.probing import job

    job.check_probe(config)


def probe_context(config: "RunConfig", run: "Run", report: "Report") -> None:
    from app.probing.job import probe

    probe(config, run, report)


def check_serving(config: "RunConfig") -> None:
    from app.serving import preflight

    preflight.check_serving(config)


def describe_serving(config: "RunConfig") -> str | None:
    from app.serving.plan import describe_plan

    assert config.serve is not None
    return describe_plan(config) if config.serve.plan else None


def serve_models(config: "RunConfig", run: "Run", report: "Report") -> None:
    from app.serving.server import serve

    serve(config, report)


def check_evaluation(config: "RunConfig") -> None:
    from eval import preflight

    preflight.check_evaluation(config)


def evaluate_models(config: "RunConfig", run: "Run", report: "Report") -> None:
    from app.endpoints.keys import read_api_key
    from eval.evaluation import Evaluation
    from eval.suite import Endpoint

    assert config.evaluate is not None
    if config.evaluate.url is not None:
        key = read_api_key("evaluate.api_key_env", config.evaluate.api_key_env)
        endpoint = Endpoint(config.evaluate.url, key)
        Evaluation(config, run, endpoint, report).run()
        return

    from app.serving.access import read_key
    from app.serving.server import serving

    assert config.serve is not None
    with serving(config, report) as url:
        Evaluation(config, run, Endpoint(url, read_key(config.serve)), report).run()


def describe_sample(config: "RunConfig") -> str | None:
    assert config.evaluate is not None
    if config.evaluate.show is None:
        return None
    from app.run import Run
    from eval.reading import show_sample

    return show_sample(config, Run(config.run_dir), config.evaluate.show)


def serves_its_models(config: "RunConfig") -> bool:
    return config.evaluate is None or config.evaluate.url is None
