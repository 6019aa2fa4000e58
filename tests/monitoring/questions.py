"""Which PromQL do the dashboards and the alerts ask, and what does a Prometheus answer?"""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from hera_workflows.templates.alerting import alerts
from hera_workflows.templates.dashboards import boards
from hera_workflows.templates.values import Values

# A metric's name stands before { or [ or ), never before an opening parenthesis.
_METRIC = re.compile(r"\b(?:argo_\w+|argocd_\w+|nv_\w+|slipway_\w+|kubelet_\w+|up)\b(?=[{\[)\s])")


def dashboard_queries(values: Values, uid: str, choices: dict[str, str]) -> dict[str, str]:
    """Each query of a dashboard by panel and letter, as Grafana sends it once a person has chosen."""
    found = {}
    for place, panel in enumerate(boards(values)[uid]["panels"], start=1):
        for target in panel["targets"]:
            found[f"{place}. {panel['title']}, {target['refId']}"] = _chosen(target["expr"], choices)
    return found


def choices_of(url: str, values: Values, uid: str, choices: dict[str, str]) -> dict[str, list[str]]:
    """What a person may choose at the top of a dashboard, by variable."""
    found = {}
    for variable in boards(values)[uid]["templating"]["list"]:
        if variable["type"] == "query":
            asked = re.fullmatch(r"label_values\((.+), (\w+)\)", _chosen(variable["query"]["query"], choices))
            assert asked, variable
            found[variable["name"]] = list(_get(url, f"label/{asked[2]}/values", **{"match[]": asked[1]}))
    return found


def _chosen(text: str, choices: dict[str, str]) -> str:
    for name, value in choices.items():
        text = text.replace(f"${name}", value)
    assert "$" not in text, text
    return text


def alert_queries(values: Values) -> dict[str, str]:
    return {alert.name: alert.expr for alert in alerts(values)}


def metrics_of(query: str) -> set[str]:
    return set(_METRIC.findall(query))


def ask(url: str, query: str) -> list[dict[str, Any]]:
    """The series that answer a query now."""
    return list(_get(url, "query", query=query)["result"])


def known_metrics(url: str) -> set[str]:
    """The names of all metrics that it has seen."""
    return set(_get(url, "label/__name__/values"))


def _get(url: str, path: str, **parameters: str) -> Any:
    try:
        with urllib.request.urlopen(f"{url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}", timeout=20) as answer:
            return json.load(answer)["data"]
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{parameters}: {error.read().decode()}") from None
