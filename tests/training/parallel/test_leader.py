"""What the others learn of a leader's error."""

import pickle

import pytest
import torch.distributed as dist

from app.faults import UserError
from app.training.parallel.leader import ask_leader


@pytest.mark.parametrize(
    ("error", "others"), [(UserError("field: bad"), UserError), (OSError("disk full"), RuntimeError)]
)
def test_all_processes_raise_a_users_fault_and_the_others_tell_of_any_other(monkeypatch, error, others):
    sent: list[bytes] = []

    def broadcast(answer, **_):
        if sent:
            answer[:] = pickle.loads(sent[0])
        else:
            sent.append(pickle.dumps(answer))

    def fail():
        raise error

    monkeypatch.setattr(dist, "get_rank", lambda group: len(sent))
    monkeypatch.setattr(dist, "broadcast_object_list", broadcast)
    with pytest.raises(type(error)):
        ask_leader(None, fail)
    with pytest.raises(others, match=str(error)) as raised:
        ask_leader(None, fail)
    assert type(raised.value) is others
