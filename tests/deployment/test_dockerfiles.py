"""The Dockerfiles, read: no Docker is needed. What they copy, install and run as."""

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ENVIRONMENTS = ROOT / "ray_jobs" / "environments"
LOCKS = {"cpu.Dockerfile": "cpu.txt", "gpu.Dockerfile": "cuda.txt"}
SECRET = re.compile(r"TOKEN|API_KEY|SECRET|PASSWORD|CREDENTIAL", re.IGNORECASE)


def instructions(name: str) -> list[tuple[str, str]]:
    """A Dockerfile's instructions in order, with what stands behind each on one line."""
    lines = [
        line for line in (ENVIRONMENTS / name).read_text().splitlines() if not line.lstrip().startswith("#")
    ]
    text = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in text.splitlines() if line)]


def of(name: str, word: str) -> list[str]:
    return [rest for found, rest in instructions(name) if found == word]


def test_every_dockerfile_is_known():
    assert {path.name for path in ENVIRONMENTS.glob("*Dockerfile*")} == LOCKS.keys()


@pytest.mark.parametrize("name", LOCKS)
def test_only_instructions_of_docker(name):
    known = {"FROM", "RUN", "ENV", "USER", "WORKDIR", "COPY", "ARG", "CMD"}
    assert {word for word, _ in instructions(name)} <= known


@pytest.mark.parametrize("name", LOCKS)
def test_the_base_is_pinned_to_its_content(name):
    [base] = of(name, "FROM")
    assert re.fullmatch(r"[a-z/]+:\d+\.\d+\.\d+-[a-z0-9.-]+@sha256:[0-9a-f]{64}", base)


@pytest.mark.parametrize(("name", "lock"), LOCKS.items())
def test_packages_come_from_the_lock_without_dependencies(name, lock):
    assert f"--chown=ray:ray ray_jobs/environments/{lock} build/" in of(name, "COPY")
    runs = [command.strip() for run in of(name, "RUN") for command in re.split("&&|;|then", run)]
    installs = [command for command in runs if command.startswith("pip install")]
    assert len(installs) >= 2
    # With dependencies on, pip would bring a torch of its own choice.
    assert all("--no-deps" in command for command in installs)
    assert any("-r" in command.split() for command in installs)
    assert f"ray=={metadata.version('ray')}" in (ENVIRONMENTS / lock).read_text().splitlines()


@pytest.mark.parametrize("name", LOCKS)
def test_what_is_copied_is_there_and_is_all_of_the_package(name):
    copied = set()
    for rest in of(name, "COPY"):
        *sources, _ = [word for word in rest.split() if not word.startswith("--")]
        for source in sources:
            assert (ROOT / source).exists(), source
        copied.update(sources)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = {
        include.removesuffix("*") for include in project["tool"]["setuptools"]["packages"]["find"]["include"]
    }
    files = {"pyproject.toml", project["project"]["readme"], *project["project"]["license-files"]}
    assert packages | files <= copied


@pytest.mark.parametrize("name", LOCKS)
def test_it_runs_as_a_user_without_rights(name):
    words = [word for word, _ in instructions(name)]
    assert of(name, "USER") == ["ray"]
    # All that the lock's packages do while they are installed, they do as this user.
    first_install = next(i for i, (word, rest) in enumerate(instructions(name)) if "pip install" in rest)
    assert words.index("USER") < first_install
    assert any("--uid 1000" in run for run in of(name, "RUN"))
    assert not re.search(r"\bsudo\b", " ".join(of(name, "RUN")))


@pytest.mark.parametrize("name", LOCKS)
def test_no_secret_is_asked_for_or_left(name):
    for rest in of(name, "ENV") + of(name, "ARG"):
        assert not SECRET.search(rest), rest
    assert all(not SECRET.search(rest) for rest in of(name, "COPY"))


@pytest.mark.parametrize("name", LOCKS)
def test_the_programs_that_launchers_need_are_there(name):
    [packages] = [run for run in of(name, "RUN") if "apt-get install" in run]
    # `ray up` copies files with rsync and reaches workers through ssh, KubeRay's probes ask with wget.
    assert {"openssh-client", "rsync", "wget", "ca-certificates"} <= set(packages.split())
    # They may start login shells, for which only this file counts.
    assert any("/opt/longstrap/bin:$PATH' > /etc/profile.d/longstrap.sh" in run for run in of(name, "RUN"))
    assert any("/opt/longstrap/bin:$PATH" in rest and "HOME=/home/ray" in rest for rest in of(name, "ENV"))
