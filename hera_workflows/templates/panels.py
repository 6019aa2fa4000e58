"""How does one panel of a dashboard look?"""

from __future__ import annotations

from grafana_foundation_sdk.builders.common import VizLegendOptions
from grafana_foundation_sdk.builders.dashboard import (
    Dashboard,
    DashboardLink,
    DatasourceVariable,
    QueryVariable,
    ThresholdsConfig,
)
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.builders.stat import Panel as Stat
from grafana_foundation_sdk.builders.table import Panel as Table
from grafana_foundation_sdk.builders.timeseries import Panel as Graph
from grafana_foundation_sdk.models.common import BigValueColorMode, LegendDisplayMode, LegendPlacement
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    DataSourceRef,
    DataTransformerConfig,
    DynamicConfigValue,
    Threshold,
    ThresholdsMode,
    VariableRefresh,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

__all__ = ["board", "graph", "number", "table", "variable"]

SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
_REFS = "ABCDEFGH"  # Grafana's names of a panel's queries


def board(uid: str, title: str) -> Dashboard:
    """A dashboard without panels, with links to our others and the choice of a Prometheus."""
    others = DashboardLink("slipway").type(DashboardLinkType.DASHBOARDS).tags(["slipway"]).keep_time(True)
    return (
        Dashboard(title)
        .uid(uid)
        .tags(["slipway"])
        .readonly()
        .refresh("30s")
        .time("now-6h", "now")
        .timezone("utc")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .link(others)
        .with_variable(DatasourceVariable("datasource").type("prometheus"))
    )


def variable(name: str, query: str) -> QueryVariable:
    """A choice at the top of the dashboard among what Prometheus answers."""
    return (
        QueryVariable(name)
        .datasource(SOURCE)
        .query({"query": query, "refId": name, "qryType": 1})
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
    )


def number(title: str, expr: str, unit: str = "short", above: float | None = None) -> Stat:
    """One number; red from `above` on."""
    panel = Stat().title(title).datasource(SOURCE).span(6).height(4).unit(unit)
    steps = [Threshold(None, "green")] + ([] if above is None else [Threshold(above, "red")])
    return (
        panel.color_mode(BigValueColorMode.VALUE)
        .thresholds(ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps))
        .with_target(Dataquery().expr(expr).instant().ref_id("A"))
    )


def graph(title: str, unit: str, *lines: tuple[str, str]) -> Graph:
    """Lines over time: pairs of a query and how its series are called."""
    legend = VizLegendOptions().display_mode(LegendDisplayMode.LIST).placement(LegendPlacement.BOTTOM).show_legend(True)
    panel = Graph().title(title).datasource(SOURCE).span(12).height(8).unit(unit).min(0).fill_opacity(10).legend(legend)
    for ref, (expr, name) in zip(_REFS, lines, strict=False):
        panel = panel.with_target(Dataquery().expr(expr).range().legend_format(name).ref_id(ref))
    return panel


def table(title: str, *columns: tuple[str, str, str]) -> Table:
    """One row a series, one column a query: triples of name, unit and query."""
    names = {f"Value #{ref}": name for ref, (name, _, _) in zip(_REFS, columns, strict=False)}
    panel = Table().title(title).datasource(SOURCE).span(24).height(9)
    panel = panel.with_transformation(DataTransformerConfig("merge", options={})).with_transformation(
        DataTransformerConfig("organize", options={"excludeByName": {"Time": True}, "renameByName": names})
    )
    for ref, (name, unit, expr) in zip(_REFS, columns, strict=False):
        panel = panel.override_by_name(name, [DynamicConfigValue("unit", unit)])
        panel = panel.with_target(Dataquery().expr(expr).instant().format(PromQueryFormat.TABLE).ref_id(ref))
    return panel
