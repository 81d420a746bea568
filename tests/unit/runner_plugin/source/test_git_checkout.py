"""Code in git, from a real server of a real repository."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import pytest
from dulwich import porcelain
from dulwich.repo import Repo
from dulwich.server import DictBackend
from dulwich.web import make_wsgi_chain

from flowrun_api.kinds.common import FlowSource
from prefect_flowrun.laptop.problem import CannotRun
from prefect_flowrun.laptop.source import lay_out
from prefect_flowrun.source import git_checkout
from prefect_flowrun.source.work_folder import SourceError, SourceUnreachableError

ME = b"me <me@example.com>"


class Quiet(WSGIRequestHandler):
    def log_message(self, *_args: Any) -> None:
        pass


class Repository:
    """A repository with two commits on `main`, one on `other` and a tag, and what is asked for it."""

    def __init__(self, folder: Path) -> None:
        self.repo = porcelain.init(str(folder))
        self.folder = folder
        self.first = self.commit("flows/etl.py", "version = 1\n")
        porcelain.tag_create(self.repo, b"v1", author=ME, annotated=False)
        self.second = self.commit("flows/etl.py", "version = 2\n")
        self.commit("data/one.txt", "1")
        self.login = ""
        self.refusals = 0

    def commit(self, name: str, text: str) -> str:
        file = self.folder / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        porcelain.add(self.repo, [str(file)])
        return porcelain.commit(self.repo, message=b"a change", author=ME, committer=ME).decode()

    def app(self) -> Callable[..., Any]:
        git = make_wsgi_chain(DictBackend({"/": Repo(str(self.folder))}))

        def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
            given = environ.get("HTTP_AUTHORIZATION", "").removeprefix("Basic ")
            if self.refusals:
                self.refusals -= 1
                start_response("503 Service Unavailable", [("Content-Type", "text/plain")])
                return [b"later"]
            if self.login and base64.b64decode(given).decode() != self.login:
                start_response("401 Unauthorized", [("WWW-Authenticate", 'Basic realm="git"')])
                return [b""]
            return git(environ, start_response)

        return answer


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "repository")


@pytest.fixture
def url(repository: Repository) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, repository.app(), WSGIServer, Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def told(url: str, ref: str = "HEAD", path: str = "") -> str:
    return json.dumps({"url": url, "ref": ref, "path": path})


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


def test_a_branch_a_tag_and_a_commit_are_laid_out_without_the_history(
    repository: Repository, url: str, tmp_path: Path
) -> None:
    for ref, version in (("HEAD", 2), ("v1", 1), (repository.first, 1), (repository.second, 2)):
        work = tmp_path / f"work-{ref[:6]}"
        work.mkdir()
        git_checkout.fill(told(url, ref), None, work)
        assert (work / "flows" / "etl.py").read_text() == f"version = {version}\n"
        assert not (work / ".git").exists()
        assert (work / "data").exists() == (ref == "HEAD")


def test_a_folder_of_it_is_the_working_folder(url: str, work: Path) -> None:
    (work / "mine.txt").write_text("stays")
    git_checkout.fill(told(url, path="flows"), None, work)
    assert sorted(path.name for path in work.iterdir()) == ["etl.py", "mine.txt"]


@pytest.mark.parametrize(
    ("ref", "path", "said"),
    [
        ("nowhere", "", "no nowhere in it"),
        ("0" * 40, "", f"no {'0' * 40} in it"),
        ("HEAD", "missing", "there is no folder missing in commit"),
    ],
)
def test_what_is_not_there_is_named(url: str, work: Path, ref: str, path: str, said: str) -> None:
    with pytest.raises(SourceError, match=said):
        git_checkout.fill(told(url, ref, path), None, work)
    assert list(work.iterdir()) == []


@pytest.mark.parametrize("secret", ["t0ken", "oauth2:t0ken\n"])
def test_credentials_are_a_token_or_user_and_token(
    repository: Repository, url: str, work: Path, tmp_path: Path, secret: str
) -> None:
    repository.login = "oauth2:t0ken"
    with pytest.raises(SourceError, match="credentialsSecret"):
        git_checkout.fill(told(url), None, work)
    (tmp_path / "credentials").write_text(secret)
    git_checkout.fill(told(url), str(tmp_path / "credentials"), work)
    assert (work / "data" / "one.txt").read_text() == "1"


def test_wrong_credentials_are_not_quoted(repository: Repository, url: str, work: Path, tmp_path: Path) -> None:
    repository.login = "oauth2:t0ken"
    (tmp_path / "credentials").write_text("s3cr3t")
    with pytest.raises(SourceError) as refused:
        git_checkout.fill(told(url), str(tmp_path / "credentials"), work)
    assert "s3cr3t" not in str(refused.value)


def test_a_host_that_is_away_for_a_moment_is_asked_again(
    repository: Repository, url: str, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(git_checkout, "_TRIES_AFTER_S", (0.0, 0.01, 0.01))
    repository.refusals = 2
    git_checkout.fill(told(url), None, work)
    assert (work / "data").exists()
    with pytest.raises(SourceUnreachableError, match="the host does not answer"):
        git_checkout.fill(told("http://127.0.0.1:9/"), None, work)


def test_a_run_on_this_machine_has_it_too(url: str, repository: Repository, work: Path, tmp_path: Path) -> None:
    git = {"url": url, "path": "flows", "credentialsSecret": {"name": "git"}}
    source = FlowSource.model_validate({"git": git})
    repository.login = "oauth2:t0ken"
    with pytest.raises(CannotRun, match="set FLOWRUN_GIT_CREDENTIALS_FILE to a file"):
        lay_out(source, [], tmp_path, work, {})
    (tmp_path / "credentials").write_text("t0ken")
    lay_out(source, [], tmp_path, work, {"FLOWRUN_GIT_CREDENTIALS_FILE": str(tmp_path / "credentials")})
    assert (work / "etl.py").exists()
