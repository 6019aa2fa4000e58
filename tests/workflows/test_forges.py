"""Where links to a workflow and to what it left lead."""

from __future__ import annotations

import pytest

from hera_workflows.forges import ForgeFlags


def flags(argo_url: str) -> ForgeFlags:
    return ForgeFlags("gitea", "https://forge.example", "acme/models", "acme/environments", argo_url)


@pytest.mark.parametrize("argo_url", ["https://argo.example/workflows/ml", "https://argo.example/workflows/ml/"])
def test_a_report_is_where_argo_server_serves_the_artifacts_of_its_node(argo_url: str) -> None:
    wanted = "https://argo.example/artifact-files/ml/workflows/push-1/push-1-101/outputs/report"
    assert flags(argo_url).report("push-1", "push-1-101") == wanted


def test_a_report_below_a_path_of_argo_server_keeps_the_path() -> None:
    wanted = "https://example.com/argo/artifact-files/ml/workflows/push-1/n/outputs/report"
    assert flags("https://example.com/argo/workflows/ml").report("push-1", "n") == wanted


def test_without_an_argo_server_there_is_no_page_to_link_to() -> None:
    assert (flags("").page("push-1"), flags("").report("push-1", "n")) == ("", "")
