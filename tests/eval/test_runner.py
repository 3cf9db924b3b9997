import asyncio
import threading
import time

import numpy as np
import pytest

from app.config import EvaluateConfig
from app.endpoints import client as client_module
from app.endpoints.client import NUM_PROBE_TOKENS
from app.faults import UserError
from app.storage import Folder
from eval.client import EvaluationClient
from eval.records import RecordStore
from eval.runner import Runner, unanswered
from eval.samples import Sample
from tests.eval.completions_double import Answer, CompletionsDouble


def samples(count, group=""):
    return [
        Sample(f"t-64-{i:05}", "t", 64, np.full(8, i, np.int32), 8, [str(i)], group) for i in range(count)
    ]


def ask_all(endpoint, folder, asked, num_concurrent=4, lines=None, interval_sec=60.0, **settings):
    async def run():
        client = EvaluationClient(EvaluateConfig(**settings), endpoint.url, None, "m")
        store = RecordStore(folder)
        report = (lines if lines is not None else []).append
        runner = Runner(client, store, num_concurrent, report, interval_sec, "niah base")
        wanted = unanswered(store, [sample.sample_id for sample in asked])
        try:
            await runner.ask_all(iter([s for s in asked if s.sample_id in wanted]), len(wanted))
        finally:
            await client.close()

    asyncio.run(run())
    return RecordStore(folder)


def echo(body):
    return Answer(str(body["prompt"][0]))


def test_every_sample_becomes_a_record(tmp_path):
    asked = samples(30)
    with CompletionsDouble(echo) as endpoint:
        store = ask_all(endpoint, Folder(str(tmp_path)), asked)
    assert all(store[sample.sample_id].reply.text == sample.references[0] for sample in asked)
    assert len(endpoint.asked) == 30


def test_no_more_than_asked_for_are_under_way(tmp_path):
    with CompletionsDouble(lambda body: Answer(delay_sec=0.1)) as endpoint:
        ask_all(endpoint, Folder(str(tmp_path)), samples(20), num_concurrent=3)
    assert endpoint.most_at_once == 3


def test_a_groups_first_sample_is_answered_before_the_others_are_asked(tmp_path):
    answered = []

    def script(body):
        if body["prompt"][0] == 0:
            time.sleep(0.1)
        else:
            assert 0 in answered
        answered.append(body["prompt"][0])
        # Long enough for the others to come meanwhile.
        return Answer(delay_sec=0.3)

    with CompletionsDouble(script) as endpoint:
        ask_all(endpoint, Folder(str(tmp_path)), samples(8, group="g"), num_concurrent=4)
    assert len(answered) == 8
    assert endpoint.most_at_once > 1


def test_failures_are_records_and_asked_again_the_next_time(tmp_path):
    folder, asked = Folder(str(tmp_path)), samples(6)

    def script(body):
        is_refused = body["prompt"][0] == 2 and len(body["prompt"]) > NUM_PROBE_TOKENS
        return Answer(status=400, message="too long") if is_refused else Answer()

    lines = []
    with CompletionsDouble(script) as endpoint:
        store = ask_all(endpoint, folder, asked, lines=lines)
    assert "HTTP 400" in store["t-64-00002"].error
    assert "6 of 6 asked, 1 failed" in lines[-1]
    with CompletionsDouble(echo) as endpoint:
        store = ask_all(endpoint, folder, asked)
    assert [body["prompt"][0] for body in endpoint.asked] == [2]
    assert store["t-64-00002"].error is None


def test_an_endpoint_that_goes_away_ends_it_and_what_is_answered_stays(tmp_path, monkeypatch):
    monkeypatch.setattr(client_module, "FIRST_PAUSE_SEC", 0.01)
    folder, asked, lock, served = Folder(str(tmp_path)), samples(20), threading.Lock(), []

    def script(body):
        with lock:
            if len(served) >= 5:
                return Answer(status=503)
            served.append(body["prompt"][0])
        return echo(body)

    with (
        CompletionsDouble(script) as endpoint,
        pytest.raises(UserError, match="the same command resumes from there"),
    ):
        ask_all(endpoint, folder, asked, num_retries=1)
    records = RecordStore(folder)
    kept = {index for index in range(20) if records.is_answered(f"t-64-{index:05}")}
    # A reply that was on its way when the end was decided may be lost, and no other.
    assert kept
    assert kept <= set(served)
    with CompletionsDouble(echo) as endpoint:
        store = ask_all(endpoint, folder, asked)
    # Nothing that was answered is asked again.
    assert sorted(body["prompt"][0] for body in endpoint.asked) == sorted(set(range(20)) - kept)
    assert all(store.is_answered(sample.sample_id) for sample in asked)


def test_progress_tells_rate_and_time_left(tmp_path):
    lines = []
    with CompletionsDouble(lambda body: Answer(delay_sec=0.05)) as endpoint:
        ask_all(endpoint, Folder(str(tmp_path)), samples(12), num_concurrent=2, lines=lines, interval_sec=0.1)
    assert any("niah base: " in line and " of 12 asked" in line and "left" in line for line in lines[:-1])
    assert lines[-1].startswith("niah base: 12 of 12 asked")
