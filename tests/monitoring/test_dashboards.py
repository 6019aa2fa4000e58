"""What the dashboards are, as Grafana and its sidecar read them."""

from __future__ import annotations

import json

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from hera_workflows.templates.dashboards import boards, config_maps
from hera_workflows.templates.values import Values

BOARDS = boards(Values())


@pytest.mark.parametrize("uid", BOARDS)
def test_grafanas_own_types_read_a_dashboard_back_as_it_is(uid):
    again = Dashboard.from_json(BOARDS[uid])
    assert json.loads(json.dumps(again, cls=JSONEncoder)) == BOARDS[uid]


@pytest.mark.parametrize("uid", BOARDS)
def test_no_panel_covers_another(uid):
    cells: set[tuple[int, int]] = set()
    for panel in BOARDS[uid]["panels"]:
        at = panel["gridPos"]
        own = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert max(x for x, _ in own) < 24
        assert not cells & own, panel["title"]
        cells |= own


@pytest.mark.parametrize("uid", BOARDS)
def test_every_query_goes_to_the_prometheus_that_a_person_chose(uid):
    assert {panel["datasource"]["uid"] for panel in BOARDS[uid]["panels"]} == {"${datasource}"}
    assert BOARDS[uid]["templating"]["list"][0]["type"] == "datasource"


def test_the_sidecar_finds_each_dashboard_by_its_label():
    maps = config_maps(Values.model_validate({"monitoring": {"dashboard_labels": {"shown": "yes"}}}))
    assert {each["metadata"]["labels"]["shown"] for each in maps} == {"yes"}
    assert [list(each["data"]) for each in maps] == [[f"{uid}.json"] for uid in BOARDS]


def test_workflows_of_another_namespace_are_looked_for_there():
    text = json.dumps(boards(Values(namespace="elsewhere"))["slipway-way"])
    assert 'namespace=\\"elsewhere\\"' in text
    assert 'namespace=\\"slipway\\"' not in text
