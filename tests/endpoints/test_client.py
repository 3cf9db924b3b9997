import asyncio
import threading
import time

import pytest

from app.endpoints import client as client_module
from app.endpoints.client import EndpointClient, EndpointFields
from app.endpoints.replies import RequestError
from app.faults import UserError
from tests.eval.completions_double import Answer, CompletionsDouble

FIELDS = EndpointFields(
    "generator.base_url", "generator.model", "generator.api_key_env", "KEY", "a.timeout_sec"
)
CHAT = {
    "model": "m",
    "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "a long question"}],
    "max_tokens": 8,
}


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr(client_module, "FIRST_PAUSE_SEC", 0.01)


def ask_many(url, requests=(CHAT,), pauses=None, timeout_sec=5.0, num_retries=2):
    """Replies and errors of requests that are sent one after the other."""

    async def sleep(sec):
        pauses.append(sec)

    async def go():
        wait = {} if pauses is None else {"sleep": sleep}
        client = EndpointClient(FIELDS, url, "secret", timeout_sec, num_retries, **wait)
        found = []
        for request in requests:
            try:
                found.append(await client.ask("chat", request))
            except (RequestError, UserError) as error:
                found.append(error)
        await client.close()
        return found

    return asyncio.run(go())


def ask(url, **settings):
    (found,) = ask_many(url, **settings)
    if isinstance(found, Exception):
        raise found
    return found


def is_probe(body):
    return body["messages"][-1]["content"] == "Say yes."


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503])
def test_what_may_pass_is_tried_again(status):
    answers = iter([Answer(status=status), Answer(status=status), Answer("late")])
    with CompletionsDouble(lambda body: next(answers)) as endpoint:
        assert ask(endpoint.url).text == "late"
    assert len(endpoint.asked) == 3


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_request_that_is_refused_fails_alone_in_the_endpoints_words(status):
    def script(body):
        return Answer() if is_probe(body) else Answer(status=status, message="too\nlong")

    with CompletionsDouble(script) as endpoint, pytest.raises(RequestError) as raised:
        ask(endpoint.url)
    assert (raised.value.reason, raised.value.detail) == (f"refused with HTTP {status}", "too long")
    # The probe asks in the same way, about next to nothing.
    request, probe = endpoint.asked
    assert probe | {"messages": request["messages"]} == request


def test_requests_that_are_refused_together_share_a_probe():
    async def go(url):
        client = EndpointClient(FIELDS, url, None, 5.0, 0)
        found = await asyncio.gather(*[client.ask("chat", CHAT) for _ in range(6)], return_exceptions=True)
        await client.close()
        return found

    barrier = threading.Barrier(6)

    def script(body):
        if is_probe(body):
            time.sleep(0.5)
            return Answer()
        barrier.wait(10)
        return Answer(status=400)

    with CompletionsDouble(script) as endpoint:
        found = asyncio.run(go(endpoint.url))
    assert all(isinstance(error, RequestError) for error in found)
    # One that comes after the probe has begun needs another.
    assert sum(is_probe(body) for body in endpoint.asked) < 6


@pytest.mark.parametrize("status", [400, 402, 405, 410, 422])
def test_what_every_request_gets_stops_the_job_in_the_endpoints_words(status):
    refusal = Answer(status=status, message="max_tokens is not known here")
    with CompletionsDouble(lambda body: refusal) as endpoint, pytest.raises(UserError) as raised:
        ask(endpoint.url)
    assert str(raised.value).startswith("generator.base_url: ")
    assert f"HTTP {status}: max_tokens is not known here" in str(raised.value)
    assert "the same command resumes" in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("status", "field"),
    [(401, "generator.api_key_env"), (403, "generator.api_key_env"), (404, "generator.model")],
)
def test_a_wrong_key_or_model_is_named_by_its_field(status, field):
    refusal = Answer(status=status, message="no")
    with CompletionsDouble(lambda body: refusal) as endpoint, pytest.raises(UserError, match=f"^{field}: "):
        ask(endpoint.url)
    assert len(endpoint.asked) == 1


def test_credit_that_is_used_up_is_not_waited_for():
    refusal = Answer(status=429, message="quota", error={"code": "insufficient_quota"})
    with (
        CompletionsDouble(lambda body: refusal) as endpoint,
        pytest.raises(UserError, match="HTTP 429: quota"),
    ):
        ask(endpoint.url)
    assert len(endpoint.asked) == 1


def test_a_rate_limit_is_waited_for_as_long_as_the_endpoint_says():
    answers = iter([Answer(status=429, headers={"Retry-After": "90"}), Answer()])
    pauses = []
    with CompletionsDouble(lambda body: next(answers)) as endpoint:
        ask(endpoint.url, pauses=pauses)
    assert pauses[0] == 90.0


def test_a_pause_is_no_part_of_the_time_limit():
    answers = iter([Answer(status=429, headers={"Retry-After": "1"}), Answer("late")])
    with CompletionsDouble(lambda body: next(answers)) as endpoint:
        assert ask(endpoint.url, timeout_sec=0.7).text == "late"


def test_requests_that_begin_during_a_pause_wait_too():
    answers = iter([Answer(status=429, headers={"Retry-After": "30"}), Answer(), Answer()])
    pauses = []
    with CompletionsDouble(lambda body: next(answers)) as endpoint:
        ask_many(endpoint.url, (CHAT, CHAT), pauses=pauses)
    assert [round(pause) for pause in pauses] == [30, 30, 30]


def test_a_pause_of_a_day_stops_the_job():
    refusal = Answer(status=429, headers={"Retry-After": "86400"})
    with CompletionsDouble(lambda body: refusal) as endpoint, pytest.raises(UserError, match="24h 00m"):
        ask(endpoint.url, pauses=[])


def test_a_limit_that_outlasts_the_retries_stops_the_job():
    refusal = Answer(status=429, headers={"Retry-After": "7"})
    with (
        CompletionsDouble(lambda body: refusal) as endpoint,
        pytest.raises(UserError, match=r"does not answer .*3 times"),
    ):
        ask(endpoint.url, pauses=[])
    assert len(endpoint.asked) == 3


@pytest.mark.parametrize("status", [500, 503])
def test_an_endpoint_that_is_away_stops_the_job(status):
    with (
        CompletionsDouble(lambda body: Answer(status=status)) as endpoint,
        pytest.raises(UserError, match=rf"HTTP {status}.*3 times.*the same command resumes"),
    ):
        ask(endpoint.url)


def test_a_prompt_that_breaks_the_endpoint_fails_alone():
    def script(body):
        return Answer() if is_probe(body) else Answer(status=500)

    with CompletionsDouble(script) as endpoint, pytest.raises(RequestError, match=r"HTTP 500: .*3 times"):
        ask(endpoint.url)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/v1", "http://no-such-host.invalid/v1"])
def test_nobody_there_is_one_line(url):
    with pytest.raises(UserError, match=r"^generator.base_url: .* does not answer \(Connection error: "):
        ask(url, num_retries=0)


def test_a_late_answer_is_the_requests_and_is_not_asked_for_twice():
    with (
        CompletionsDouble(lambda body: Answer(delay_sec=0.5)) as endpoint,
        pytest.raises(RequestError, match=r"timed out: no answer in 0.1 s; raise a.timeout_sec"),
    ):
        ask(endpoint.url, timeout_sec=0.1)
    assert len(endpoint.asked) == 1


DEEP = b'{"choices": ' + b"[" * 100_000


@pytest.mark.parametrize(
    "body", [b"{", b'"text"', b"[]", DEEP, {"choices": []}, {"choices": 7}, {"choices": [7]}]
)
def test_a_body_of_any_kind_is_the_requests(body):
    with CompletionsDouble(lambda asked: Answer(body=body)) as endpoint, pytest.raises(RequestError):
        ask(endpoint.url)


def test_the_errors_hold_no_request_with_its_key():
    with CompletionsDouble(lambda body: Answer(status=402)) as endpoint, pytest.raises(UserError) as raised:
        ask(endpoint.url)
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__ or raised.value.__context__ is None
