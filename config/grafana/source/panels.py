"""Panels that look alike and mean the same on every dashboard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from grafana_foundation_sdk.builders import common as common_parts
from grafana_foundation_sdk.builders import dashboard as parts
from grafana_foundation_sdk.builders import heatmap, prometheus, stat, table, timeseries
from grafana_foundation_sdk.models import common, dashboard
from grafana_foundation_sdk.models import heatmap as heatmap_model
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

SECONDS = "s"
SHARE = "percentunit"
BYTES = "bytes"
NUMBER = "short"
QUERIES_PER_SECOND = "suffix: queries/s"

SOURCE = dashboard.DataSourceRef(type_val="prometheus", uid="${datasource}")

# The colours of pgprism's own page: a phase looks the same wherever it is shown.
PHASES = {"database": "#4a78e8", "transfer": "#159a8c", "client": "#d9771e", "application": "#7a838f"}
QUANTILES = {"p50": "light-purple", "p95": "purple", "p99": "dark-purple", "mean": "text"}
GOOD, WARN, BAD = "green", "orange", "red"

# What a link hands on, so that the dashboard it leads to shows the same processes and the same time.
_CONTEXT = "var-datasource=${datasource}&${job:queryparam}&${instance:queryparam}&${page:queryparam}&${__url_time_range}"


@dataclass(frozen=True)
class Query:
    """An expression, and what its series are called in the legend."""

    expression: str
    legend: str = ""


@dataclass(frozen=True)
class Link:
    """Where a click on a value leads."""

    title: str
    url: str
    new_tab: bool = False

    def json(self) -> dict[str, Any]:
        return {"title": self.title, "url": self.url, "targetBlank": self.new_tab}


@dataclass(frozen=True)
class Column:
    """A column of a table: the field that it shows, its heading, and how its values read."""

    source: str
    heading: str
    unit: str = ""
    width: int = 0
    link: Link | None = None
    gauge: bool = False
    decimals: int | None = None
    hidden: bool = False


@dataclass(frozen=True)
class Limits:
    """From which values on a figure is orange, and from which red."""

    warn: float
    bad: float | None = None

    def build(self) -> parts.ThresholdsConfig:
        steps = [dashboard.Threshold(value=None, color=GOOD), dashboard.Threshold(value=self.warn, color=WARN)]
        if self.bad is not None:
            steps.append(dashboard.Threshold(value=self.bad, color=BAD))
        return parts.ThresholdsConfig().mode(dashboard.ThresholdsMode.ABSOLUTE).steps(steps)


def to_query(fingerprint: str, title: str = "This query") -> Link:
    """To the dashboard of one shape; `fingerprint` is what Grafana puts in."""
    return Link(title, f"/d/pgprism-query?var-fingerprint={fingerprint}&{_CONTEXT}")


def to_finding(finding: str) -> Link:
    return Link("This finding", f"/d/pgprism-findings?var-finding={finding}&{_CONTEXT}")


def to_page(path: str, title: str) -> Link:
    """To pgprism's own page."""
    return Link(title, f"${{page}}{path}", new_tab=True)


def figure(
    title: str, description: str, unit: str, expression: str,
    *, legend: str, limits: Limits | None = None, words: dict[str, tuple[str, str]] | None = None,
    width: int = 3, link: Link | None = None, decimals: int | None = None,
) -> stat.Panel:
    """One number, large; `words` are shown instead of values: text and colour of each."""
    panel = (
        stat.Panel()
        .reduce_options(common_parts.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
        .graph_mode(common.BigValueGraphMode.NONE if words else common.BigValueGraphMode.AREA)
        .color_mode(common.BigValueColorMode.VALUE)
        .text_mode(common.BigValueTextMode.VALUE)
        .justify_mode(common.BigValueJustifyMode.AUTO)
    )
    _dress(panel, title, description, unit, [Query(expression, legend)])
    if limits or words:
        panel.color_scheme(parts.FieldColor().mode(dashboard.FieldColorModeId.THRESHOLDS))
        panel.thresholds(limits.build() if limits else _plain())
    else:
        panel.color_scheme(parts.FieldColor().mode(dashboard.FieldColorModeId.FIXED).fixed_color("text"))
    if words:
        texts = {
            value: dashboard.ValueMappingResult(text=text, color=color, index=index)
            for index, (value, (text, color)) in enumerate(words.items())
        }
        panel.mappings([dashboard.ValueMap(options=texts)])
    if link:
        panel.data_links([_link(link)])
    if decimals is not None:
        panel.decimals(decimals)
    return panel.span(width).height(4)


def graph(
    title: str, description: str, unit: str, *queries: Query,
    stacked: bool = False, bars: bool = False, width: int = 12, link: Link | None = None,
    colours: dict[str, str] | None = None,
) -> timeseries.Panel:
    """Lines over time; with `stacked` their sum has a meaning too."""
    panel = (
        timeseries.Panel()
        .legend(
            common_parts.VizLegendOptions()
            .display_mode(common.LegendDisplayMode.TABLE)
            .placement(common.LegendPlacement.BOTTOM)
            .show_legend(True)
            .calcs(["mean", "max", "lastNotNull"])
        )
        .tooltip(
            common_parts.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI).sort(common.SortOrder.DESCENDING)
        )
        .color_scheme(parts.FieldColor().mode(dashboard.FieldColorModeId.PALETTE_CLASSIC))
        .draw_style(common.GraphDrawStyle.BARS if bars else common.GraphDrawStyle.LINE)
        .line_width(1)
        .fill_opacity(60 if stacked or bars else 8)
        .show_points(common.VisibilityMode.AUTO)
        .min(0)
    )
    if stacked or bars:
        panel.stacking(common_parts.StackingConfig().mode(common.StackingMode.NORMAL).group("A"))
    _dress(panel, title, description, unit, queries)
    # Grafana matches whole names.
    for name, colour in (colours or {}).items():
        panel.override_by_regexp(f"{name}( .*)?", [_property("color", {"mode": "fixed", "fixedColor": colour})])
    if link:
        panel.data_links([_link(link)])
    return panel.span(width).height(8)


def heat_map(title: str, description: str, histogram: str, *, width: int = 12) -> heatmap.Panel:
    """How many queries took how long; `histogram` is the rate of its buckets."""
    panel = (
        heatmap.Panel()
        .calculate(False)
        .color(
            heatmap.HeatmapColorOptions()
            .mode(heatmap_model.HeatmapColorMode.SCHEME)
            .scheme("Blues")
            .scale(heatmap_model.HeatmapColorScale.EXPONENTIAL)
            .exponent(0.4)
            .steps(64)
            .fill("dark-blue")
        )
        # An empty cell stays empty.
        .filter_values(heatmap.FilterValueRange().le(1e-9))
        .rows_frame(heatmap.RowsHeatmapOptions().layout(common.HeatmapCellLayout.LE))
        .y_axis(heatmap.YAxisConfig().unit(SECONDS).axis_placement(common.AxisPlacement.LEFT))
        .cell_values(heatmap.CellValues().unit(NUMBER))
        .mode(common.TooltipDisplayMode.SINGLE)
        .show_y_histogram()
        .show_color_scale(True)
        .cell_gap(1)
        .show_legend()
    )
    query = f"sum by (le) (increase({histogram}[$__rate_interval]))"
    _dress(panel, title, description, SECONDS, [Query(query, "{{le}}")], PromQueryFormat.HEATMAP)
    return panel.span(width).height(8)


def rows_of(
    title: str, description: str, queries: dict[str, str], columns: Sequence[Column],
    *, sort_by: str, empty: str, width: int = 24, height: int = 10,
) -> table.Panel:
    """A table of what `queries` give at the end of the range, joined by the labels that they share.

    The value of the query `A` is the field `Value #A`; where it is the only one, `Value`.
    """
    panel = (
        table.Panel()
        .show_header(True)
        .cell_height(common.TableCellHeight.SM)
        .sort_by([common_parts.TableSortByFieldState().display_name(sort_by).desc(True)])
        .no_value(empty)
    )
    panel.title(title).description(description).datasource(SOURCE)
    for ref_id, expression in queries.items():
        panel.with_target(
            prometheus.Dataquery()
            .expr(expression)
            .instant()
            .format(PromQueryFormat.TABLE)
            .legend_format("")
            .ref_id(ref_id)
            .datasource(SOURCE)
        )
    if len(queries) > 1:
        panel.with_transformation(dashboard.DataTransformerConfig(id_val="merge", options={}))
    shown = {column.source: index for index, column in enumerate(columns)}
    panel.with_transformation(
        dashboard.DataTransformerConfig(
            id_val="organize",
            options={
                "excludeByName": {"Time": True} | {column.source: True for column in columns if column.hidden},
                "indexByName": shown,
                "renameByName": {column.source: column.heading for column in columns},
            },
        )
    )
    # What the panel says when it is empty would stand in each empty cell too.
    panel.override_by_regexp(".*", [_property("noValue", "-")])
    for column in columns:
        if properties := list(_column_properties(column)):
            panel.override_by_name(column.heading, properties)
    return panel.span(width).height(height)


def _column_properties(column: Column):
    if column.unit:
        yield _property("unit", column.unit)
    if column.decimals is not None:
        yield _property("decimals", column.decimals)
    if column.width:
        yield _property("custom.width", column.width)
    if column.link:
        yield _property("links", [column.link.json()])
    if column.gauge:
        yield _property("custom.cellOptions", {"type": "gauge", "mode": "basic", "valueDisplayMode": "text"})
        yield _property("color", {"mode": "fixed", "fixedColor": PHASES["database"]})
        yield _property("min", 0)
        yield _property("max", 1)


def _dress(
    panel: Any, title: str, description: str, unit: str, queries: Sequence[Query],
    form: PromQueryFormat = PromQueryFormat.TIME_SERIES,
) -> None:
    panel.title(title).description(description).unit(unit).datasource(SOURCE)
    for index, query in enumerate(queries):
        panel.with_target(
            prometheus.Dataquery()
            .expr(query.expression)
            .range()
            .format(form)
            .legend_format(query.legend)
            .ref_id(chr(ord("A") + index))
            .datasource(SOURCE)
        )


def _plain() -> parts.ThresholdsConfig:
    return parts.ThresholdsConfig().mode(dashboard.ThresholdsMode.ABSOLUTE).steps([dashboard.Threshold(color="text")])


def _link(link: Link) -> parts.DashboardLink:
    return parts.DashboardLink(link.title).url(link.url).target_blank(link.new_tab)


def _property(name: str, value: object) -> dashboard.DynamicConfigValue:
    return dashboard.DynamicConfigValue(id_val=name, value=value)
