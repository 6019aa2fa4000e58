"""Who may push to a protected branch and how many must approve, by what each forge says of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import pytest
from front import Asked, Reply, front

from gitops.forge import Allowed, Protection
from gitops.forge.open import open_forge

pytestmark = pytest.mark.slow

KINDS = ("gitea", "github", "gitlab")

# By the end of the path, what a forge says of a branch that a person, a team and a role may push to.
PROTECTED: dict[str, dict[str, Any]] = {
    "gitea": {
        "/branches/main": {"protected": True, "effective_branch_protection_name": "main"},
        "/branch_protections/main": {
            "enable_push": True,
            "enable_push_whitelist": True,
            "push_whitelist_usernames": ["slipway-writer"],
            "push_whitelist_teams": ["ml"],
        },
    },
    "github": {
        "/rules/branches/main": [],
        "/branches/main": {"protected": True},
        "/branches/main/protection": {
            "restrictions": {
                "users": [{"login": "slipway-writer"}],
                "teams": [{"name": "Machine learning", "slug": "ml"}],
                "apps": [{"name": "A robot", "slug": "robot", "owner": {"login": "team"}}],
            },
            "enforce_admins": {"enabled": True},
        },
    },
    "gitlab": {
        "/repository/branches/main": {"protected": True},
        "/protected_branches/main": {
            "push_access_levels": [
                {"access_level": 40, "access_level_description": "Maintainers", "user_id": None},
                {"access_level": 30, "access_level_description": "The writer", "user_id": 7},
                {"access_level": 0, "access_level_description": "No one", "user_id": None},
            ]
        },
        "/approvals": {"approvals_before_merge": 0},
        "/approval_rules": [],
    },
}


@pytest.mark.parametrize(
    ("kind", "pushers"),
    [
        ("gitea", Allowed(logins=("slipway-writer",), others=("ml",))),
        ("github", Allowed(logins=("slipway-writer",), others=("ml", "robot"))),
        ("gitlab", Allowed(others=("Maintainers", "The writer"))),
    ],
)
def test_only_logins_of_those_who_may_push_are_called_logins(kind: str, pushers: Allowed):
    assert _protection(kind, {}).pushers == pushers


# What a forge says in place of the above of a branch that nobody is kept from.
OPEN: dict[str, dict[str, Any]] = {
    "gitea": {"/branch_protections/main": {"enable_push": True, "enable_push_whitelist": False}},
    "github": {"/branches/main/protection": {"enforce_admins": {"enabled": True}}},
    "gitlab": {
        "/protected_branches/main": {
            "push_access_levels": [{"access_level": 30, "access_level_description": "Developers + Maintainers"}],
        }
    },
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_protection_that_keeps_no_writer_from_pushing_lets_everybody_push(kind: str):
    assert _protection(kind, OPEN[kind]).pushers == Allowed(everybody=True)


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("gitea", "/branch_protections/main"),
        ("github", "/branches/main/protection"),
        ("gitlab", "/protected_branches/main"),
    ],
)
def test_a_protection_that_the_token_may_not_read_lets_nobody_be_seen(kind: str, path: str):
    assert _protection(kind, {path: None}).pushers is None


def test_a_gitlab_that_knows_no_approvals_says_who_may_push():
    assert _protection("gitlab", {"/approvals": None}).pushers == Allowed(others=("Maintainers", "The writer"))


def _rule(approvals: int, *branches: str, kind: str = "regular", everywhere: bool = False) -> dict[str, Any]:
    named = [{"id": number, "name": name} for number, name in enumerate(branches, 1)]
    where = {"applies_to_all_protected_branches": everywhere, "protected_branches": named}
    return {"name": "Reviewers", "rule_type": kind, "approvals_required": approvals, **where}


@pytest.mark.parametrize(
    "rule",
    [
        _rule(2, kind="any_approver"),
        _rule(2),
        _rule(2, "release", everywhere=True),
        _rule(2, "release", "main"),
        _rule(2, "ma*"),
    ],
    ids=["of anybody", "of every branch", "of all that are protected", "of this one too", "of a pattern"],
)
def test_a_rule_of_gitlab_for_a_branch_says_how_many_must_approve(rule: dict[str, Any]):
    assert _protection("gitlab", {"/approval_rules": [rule]}).approvals == 2


def test_a_rule_of_gitlab_for_another_branch_asks_for_no_approval():
    assert _protection("gitlab", {"/approval_rules": [_rule(2, "release")]}).approvals == 0


def test_a_rule_of_gitlab_that_waits_for_a_report_asks_for_no_approval():
    assert _protection("gitlab", {"/approval_rules": [_rule(2, kind="report_approver")]}).approvals == 0


@pytest.mark.parametrize(("before", "approvals"), [(0, 2), (3, 3)])
def test_what_asks_for_most_approvals_of_gitlab_counts(before: int, approvals: int):
    said = {"/approvals": {"approvals_before_merge": before}, "/approval_rules": [_rule(1), _rule(2), _rule(0)]}
    assert _protection("gitlab", said).approvals == approvals


@pytest.mark.parametrize("status", [403, 404])
def test_a_gitlab_that_shows_no_rules_asks_for_the_approvals_of_before(status: int):
    hidden = Reply.of(status, {"message": "no"})
    said = {"/approvals": {"approvals_before_merge": 1}, "/approval_rules": hidden}
    assert _protection("gitlab", said).approvals == 1


def test_rules_of_gitlab_are_seen_where_those_who_may_push_are_not():
    said = {"/protected_branches/main": None, "/approval_rules": [_rule(2)]}
    assert _protection("gitlab", said) == Protection(2, None, None)


BOT = {"users": [{"login": "bot"}]}
ML = {"teams": [{"slug": "ml"}]}


@pytest.mark.parametrize(
    ("said", "pushers"),
    [
        ({"restrictions": BOT, "required_pull_request_reviews": {}}, Allowed()),
        ({"required_pull_request_reviews": {"bypass_pull_request_allowances": BOT}}, Allowed(logins=("bot",))),
        ({"required_pull_request_reviews": {"bypass_pull_request_allowances": ML}}, Allowed(others=("ml",))),
        (
            {"restrictions": ML, "required_pull_request_reviews": {"bypass_pull_request_allowances": BOT}},
            Allowed(others=("ml",)),
        ),
    ],
    ids=["nobody", "a person", "a team", "a person who must be in a team"],
)
def test_where_github_requires_a_request_only_those_who_may_bypass_it_push(said: dict[str, Any], pushers: Allowed):
    said = {"/branches/main/protection": {**said, "enforce_admins": {"enabled": True}}}
    assert _protection("github", said).pushers == pushers


def test_administrators_that_a_protection_of_github_leaves_out_may_push():
    said = {"restrictions": BOT, "required_pull_request_reviews": {}, "enforce_admins": {"enabled": False}}
    assert _protection("github", {"/branches/main/protection": said}).pushers == Allowed(others=("administrators",))


def test_whom_a_ruleset_of_github_lets_push_is_not_a_login():
    said = {"/branches/main": {"protected": False}, "/rules/branches/main": [{"type": "pull_request"}]}
    assert _protection("github", said).pushers == Allowed(others=("whoever may bypass its ruleset",))


def _protection(kind: str, instead: Mapping[str, Any]) -> Protection:
    """What is made of PROTECTED with some of it answered otherwise: by content, by a Reply, or with 404 for None."""
    said = {**PROTECTED[kind], **instead}

    def answer(asked: Asked, behind: object) -> Reply:
        path = urlsplit(asked.path).path
        found = next(content for end, content in said.items() if path.endswith(end))
        if isinstance(found, Reply):
            return found
        return Reply.of(404, {"message": "Not Found"}) if found is None else Reply.of(200, found)

    with front("http://127.0.0.1:9", answer) as server:
        found = open_forge(kind, server.url, "team/env", "token").protection("main")
    assert found is not None
    return found
