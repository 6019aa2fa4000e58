"""People are told how a workflow ended: in one line, and where a URL is set by a message."""

from __future__ import annotations

import base64
import json
import threading
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from hera_workflows.steps.report_outcome import Failure, outcome, read_failures, report_outcome, send
from slipway.errors import Misconfigured, TryAgain

REFUSED = [Failure(displayName="digits/train", message="slipway: digits is refused: accuracy 0.91 < 0.95")]


class Inbox(HTTPServer):
    """A service that takes messages, on this machine."""

    def __init__(self) -> None:
        self.messages: list[dict[str, str]] = []
        self.answer = 200
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"json://127.0.0.1:{self.server_port}/"


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        inbox = self.server
        assert isinstance(inbox, Inbox)
        inbox.messages.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(inbox.answer)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    server = Inbox()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def call(*arguments: str, url: str = "") -> str:
    """Run the step's command; its output."""
    words = ["--status", "Failed", "--workflow", "push-1", *arguments]
    return (
        CliRunner()
        .invoke(report_outcome, words, env={"NOTIFY_URL": url}, catch_exceptions=False, standalone_mode=False)
        .output
    )


def test_the_outcome_names_the_step_that_failed_and_its_last_line() -> None:
    said = outcome("Failed", "push-1", REFUSED)
    assert said.line == "push-1 Failed; digits/train: slipway: digits is refused: accuracy 0.91 < 0.95"


@pytest.mark.parametrize(
    ("template", "why"),
    [("train", "train.memory; raise it in model.yaml"), ("validate", "the values file gives this step; ")],
)
def test_a_step_that_was_killed_for_memory_says_what_to_raise(template: str, why: str) -> None:
    killed = Failure(displayName="x(0)", message="main: OOMKilled (exit code 137)", templateName=template)
    assert outcome("Failed", "push-1", [killed]).body.startswith(f"x(0): out of memory: used more than {why}")


def test_a_step_that_says_itself_what_it_ran_out_of_is_quoted() -> None:
    message = (
        "main: OOMKilled (exit code 65): slipway [digits]: out of memory: used more than 512Mi; raise train.memory"
    )
    assert message in outcome("Failed", "push-1", [Failure(displayName="train(0)", message=message)]).line


def test_a_success_is_one_line() -> None:
    assert outcome("Succeeded", "push-1", []).line == "push-1 Succeeded"


def test_groups_are_left_out_where_a_step_can_be_named() -> None:
    group = Failure(displayName="model(0)", message="child 'push-1-123' failed")
    assert "model(0)" not in outcome("Failed", "push-1", [group, *REFUSED]).line


def test_a_hundred_failures_are_twenty_and_a_number() -> None:
    assert outcome("Failed", "p", REFUSED * 100).body.splitlines()[-1] == "and 80 more"


@pytest.mark.parametrize("quoted", [json.dumps, lambda value: json.dumps(json.dumps(value))])
def test_failures_are_read_as_argo_quotes_them(quoted: object) -> None:
    text = quoted([{"displayName": "a", "message": 'say "no"', "phase": "Failed", "finishedAt": None}])  # type: ignore[operator]
    assert read_failures(text) == [Failure(displayName="a", message='say "no"', phase="Failed")]


def test_failures_are_read_from_the_base64_in_which_no_controller_sees_an_expression() -> None:
    hostile = [Failure(displayName="plan", message="{{=sprig.repeat(2000000000, workflow.name)}} é")]
    text = json.dumps(json.dumps([failure.model_dump() for failure in hostile], ensure_ascii=False))
    assert read_failures(base64.b64encode(text.encode()).decode()) == hostile


@pytest.fixture
def filed() -> Iterator[Path]:
    """A file of the name that Argo gives to an argument that is too long to be one."""
    file = Path(f"/tmp/argo_arg_{uuid.uuid4().int}.txt")
    yield file
    file.unlink()


def test_failures_that_argo_wrote_to_a_file_are_read_from_there(filed: Path) -> None:
    filed.write_text(json.dumps(json.dumps([failure.model_dump() for failure in REFUSED])))
    assert read_failures(f"@{filed}") == REFUSED


@pytest.mark.parametrize("text", ["@/etc/hostname", "@/tmp/argo_arg_1.txt.old", "@/tmp/argo_arg_999999999.txt"])
def test_a_text_that_names_no_such_file_is_what_is_told(text: str) -> None:
    assert read_failures(text) == [Failure(message=text)]


@pytest.mark.parametrize("text", ["null", '"null"', "[]", '"[]"'])
def test_no_failures_are_no_failures(text: str) -> None:
    assert read_failures(text) == []


@given(st.text(), st.text(), st.text())
def test_what_is_said_is_printable_and_keeps_to_its_line(workflow: str, name: str, message: str) -> None:
    said = outcome("Failed", workflow, [Failure(displayName=name, message=message)])
    assert said.line.isprintable()
    assert said.body.count("\n") == 0


@given(st.text())
def test_any_text_as_failures_still_gives_an_outcome(text: str) -> None:
    assert outcome("Failed", "push-1", read_failures(text)).line.startswith("push-1 Failed")


def test_a_message_reaches_the_service(inbox: Inbox) -> None:
    call("--failures", json.dumps([f.model_dump() for f in REFUSED]), url=inbox.url)
    assert (inbox.messages[0]["title"], inbox.messages[0]["message"]) == (
        "push-1 Failed",
        "digits/train: slipway: digits is refused: accuracy 0.91 < 0.95",
    )


def test_a_forge_that_cannot_be_told_keeps_no_message_from_people(inbox: Inbox) -> None:
    with pytest.raises(Misconfigured, match="FORGE_TOKEN"):
        call("--commit", "a" * 40, "--forge", "gitea", "--forge-url", "https://git.test", "--source-project", "o/n",
             url=inbox.url)  # fmt: skip
    assert len(inbox.messages) == 1


def test_an_env_repo_that_is_away_keeps_no_message_from_people(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORGE_TOKEN", "t")
    with pytest.raises(TryAgain, match=r"127\.0\.0\.1:9/env\.git does not answer"):
        call("--commit", "a" * 40, "--forge", "gitea", "--forge-url", "https://git.test", "--source-project", "o/n",
             "--env-repo", "http://127.0.0.1:9/env.git", url=inbox.url)  # fmt: skip
    assert len(inbox.messages) == 1


def test_people_who_cannot_be_told_keep_nothing_from_the_forge(inbox: Inbox) -> None:
    inbox.answer = 500
    with pytest.raises(TryAgain, match=r"the notification was not taken.*; FORGE_TOKEN"):
        call("--commit", "a" * 40, "--forge", "gitea", "--forge-url", "https://git.test", "--source-project", "o/n",
             url=inbox.url)  # fmt: skip


def test_markup_in_a_message_stays_text(inbox: Inbox) -> None:
    call("--failures", json.dumps([{"displayName": "<b>x</b>", "message": "&lt;[a](http://b)"}]), url=inbox.url)
    assert inbox.messages[0]["message"] == "<b>x</b>: &lt;[a](http://b)"


def test_several_services_hear_of_it(inbox: Inbox) -> None:
    call(url=f"{inbox.url} {inbox.url}again")
    assert len(inbox.messages) == 2


def test_a_scheduled_workflow_that_succeeds_sends_nothing(inbox: Inbox) -> None:
    call("--status", "Succeeded", "--notify", "failure", url=inbox.url)
    assert inbox.messages == []


def test_without_a_url_the_line_is_printed_all_the_same() -> None:
    assert call() == "push-1 Failed\n"


def test_a_service_that_refuses_may_be_tried_again(inbox: Inbox) -> None:
    inbox.answer = 500
    with pytest.raises(TryAgain, match="the notification was not taken"):
        send(inbox.url, outcome("Failed", "push-1", []))


def test_an_unknown_service_is_a_setting_and_its_token_is_not_shown() -> None:
    with pytest.raises(Misconfigured) as caught:
        send("nosuch://s3cret@host", outcome("Failed", "push-1", []))
    assert ("'nosuch'" in str(caught.value), "s3cret" in str(caught.value)) == (True, False)
