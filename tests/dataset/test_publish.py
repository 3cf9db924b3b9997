"""Publishing: what goes to the Hub, what stays here, and what is said when it cannot be done."""

from fnmatch import fnmatch
from pathlib import Path

import pytest

from app.config import PublishConfig
from app.dataset.card import write_card
from app.dataset.publish import publish_dataset
from app.dataset.statistics import compute_statistics
from app.faults import UserError
from tests.dataset.example_rows import CALLS, make_config, write_dataset

PUBLISHED = {
    "README.md",
    "lengths.png",
    "evidence_depths.png",
    "statistics.json",
    *(f"examples/train-{index:05d}-of-00003.parquet" for index in range(3)),
}


class FakeHub:
    """Notes what is created and which of a folder's files would be sent."""

    def __init__(self):
        self.repos, self.files, self.deleted = {}, set(), []

    def create_repo(self, repo_id, *, private, repo_type, exist_ok):
        assert exist_ok
        self.repos[repo_id] = (repo_type, private)

    def upload_folder(
        self, *, repo_id, folder_path, repo_type, allow_patterns, delete_patterns, commit_message
    ):
        assert repo_id in self.repos
        assert (repo_type, bool(commit_message)) == ("dataset", True)
        names = {
            str(path.relative_to(folder_path)) for path in Path(folder_path).rglob("*") if path.is_file()
        }
        self.files = {name for name in names if any(fnmatch(name, pattern) for pattern in allow_patterns)}
        self.deleted = delete_patterns


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    dataset = write_dataset(tmp_path_factory.mktemp("dataset"))
    write_card(dataset, make_config(), compute_statistics(dataset, CALLS))
    dataset.write_json("settings.json", {})
    return dataset


@pytest.mark.parametrize("private", [True, False])
def test_the_dataset_is_pushed_without_seeds_and_rejects(dataset, private):
    hub = FakeHub()
    url = publish_dataset(dataset, PublishConfig(repo="floods/all", private=private), "token", hub)
    assert url == "https://huggingface.co/datasets/floods/all"
    assert hub.repos == {"floods/all": ("dataset", private)}
    assert hub.files == PUBLISHED
    assert hub.deleted == ["examples/*.parquet"]


def test_a_remote_dataset_is_copied_first(dataset, monkeypatch):
    import app.dataset.publish as module

    monkeypatch.setattr(module, "is_remote", lambda uri: True)
    hub = FakeHub()
    publish_dataset(dataset, PublishConfig(repo="floods/all"), "token", hub)
    assert hub.files == PUBLISHED


def test_without_a_repo_nothing_is_done(dataset):
    hub = FakeHub()
    assert publish_dataset(dataset, PublishConfig(), None, hub) is None
    assert hub.repos == {}


@pytest.mark.parametrize("token", [None, ""])
def test_a_missing_token_names_the_setting(dataset, token):
    hub = FakeHub()
    with pytest.raises(UserError, match=r"dataset\.publish\.token_env: MY_TOKEN is not set"):
        publish_dataset(dataset, PublishConfig(repo="floods/all", token_env="MY_TOKEN"), token, hub)
    assert hub.repos == {}


def test_a_bad_name_names_the_setting(dataset):
    with pytest.raises(UserError, match=r"dataset\.publish\.repo: 'a/b/c' is not a valid name on the Hub"):
        publish_dataset(dataset, PublishConfig(repo="a/b/c"), "token")
