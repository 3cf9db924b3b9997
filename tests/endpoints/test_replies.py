from types import SimpleNamespace as Object

import pytest

from app.endpoints.replies import RequestError, read_reply


def completion(content="yes", finish_reason="stop", **changes):
    choice = Object(message=Object(content=content), finish_reason=finish_reason)
    usage = Object(prompt_tokens=3, completion_tokens=2, prompt_tokens_details=None)
    return Object(**{"choices": [choice], "usage": usage, **changes})


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("yes", "yes"),
        (None, ""),
        ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "ab"),
        ("half \ud83d", "half ?"),
    ],
)
def test_contents_of_all_kinds_become_text(content, text):
    assert read_reply(completion(content)).text == text


@pytest.mark.parametrize("content", [7, {"text": "x"}, [{"type": "image_url"}], ["text"], [{"type": "text"}]])
def test_a_content_that_is_no_text_is_the_requests_fault(content):
    with pytest.raises(RequestError, match="reply of an unknown shape"):
        read_reply(completion(content))


@pytest.mark.parametrize(("reason", "read"), [("stop", "stop"), ("eos", "stop"), ("length", "length")])
def test_a_reply_is_finished_or_cut(reason, read):
    assert read_reply(completion(finish_reason=reason)).finish_reason == read


@pytest.mark.parametrize("reason", ["content_filter", "abort", "tool_calls", "error", "", None, [], {}])
def test_any_other_end_is_no_reply_and_is_named(reason):
    with pytest.raises(RequestError) as raised:
        read_reply(completion("half a rep", reason))
    assert (raised.value.reason, raised.value.detail) == (f"finish reason {reason}", "half a rep")


def test_an_error_with_status_200_is_told():
    with pytest.raises(RequestError, match=r"error in place of a reply: .*overloaded"):
        read_reply(Object(choices=None, usage=None, error={"message": "overloaded"}))


@pytest.mark.parametrize("value", [None, "text", 7, [], Object(choices=[], usage=Object())])
def test_no_choice_is_told(value):
    with pytest.raises(RequestError, match="no choice"):
        read_reply(value)


@pytest.mark.parametrize("count", [None, "many", [], -1, float("inf"), float("nan")])
def test_counts_that_are_none_are_the_requests_fault(count):
    with pytest.raises(RequestError, match="unknown shape"):
        read_reply(completion(usage=Object(prompt_tokens=count, completion_tokens=1)))


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_thoughts_beside_the_text_are_kept_apart_from_it(field):
    message = Object(content="Whales dive.", **{field: "They want whales."})
    usage = Object(prompt_tokens=1, completion_tokens=2, prompt_tokens_details=None)
    choice = Object(message=message, finish_reason="stop")
    reply = read_reply(Object(choices=[choice], usage=usage))
    assert (reply.text, reply.thought) == ("Whales dive.", "They want whales.")
