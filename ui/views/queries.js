import { html, useMemo } from "../lib/preact.js";
import { Link, useQueryParams } from "../lib/router.js";
import { listClass, useList } from "../lib/useList.js";
import { useApi } from "../lib/useApi.js";
import { View } from "../lib/view.js";
import { Duration, Empty, ListChanges, Skeleton, Sparkline, Trouble, phasesTotal, trendInWords } from "../lib/parts.js";
import { Table } from "../lib/table.js";
import { shapeTail } from "../lib/sql-text.js";
import { count, figure, percent, plural } from "../lib/words.js";

const SORT = "total_ms";

/** Shapes, sorted by the server. */
export default function Queries() {
  const [{ q, sort = SORT }, change] = useQueryParams();
  const list = useList("queries", { sort, q }, ({ fingerprint }) => fingerprint);
  const { data: summary } = useApi("summary");
  const all = summary ? phasesTotal({ ...summary.phases, application_ms: 0 }) : null;
  const cells = useMemo(() => columns(all), [all]);
  const total = list.total ?? list.items.length;

  return html`<${View} name="queries" title="Queries" tab=${`${plural(total, "shape")} of queries`}
    aside=${html`<${ListChanges} list=${list} noun=${q ? "match" : list.total === 1 ? "shape" : "shapes"} />`}>
    <${Trouble} error=${list.error} staleSince=${list.staleSince} retry=${list.sortAgain} />
    ${list.loading && html`<${Skeleton} rows=${12} />`}
    ${!list.loading && !list.error && list.items.length === 0 && html`<${Nothing} q=${q} clear=${() => change({ q: null })} />`}
    ${list.items.length > 0 &&
    html`<div class=${listClass(list)}>
      <${Table} label="Shapes of queries" columns=${cells} rows=${list.items} rowId=${({ fingerprint }) => fingerprint}
        total=${list.total} sort=${sort} onSort=${(next) => change({ sort: next === SORT ? null : next })}
        rowProps=${({ fingerprint }) => ({ "data-fingerprint": fingerprint })} onEnd=${list.hasMore ? list.more : undefined} />
    </div>`}
  <//>`;
}

function Nothing({ q, clear }) {
  if (!q) return html`<${Empty}>No query came yet. Point DATABASE_URL at pgprism and load a page.<//>`;
  return html`<${Empty}>No shape matches ${q}. <button type="button" class="link" onClick=${clear}>Clear the filter</button>.<//>`;
}

/** @param {number | null} all the time of all queries, milliseconds */
const columns = (all) => [
  { key: "shape", label: "shape", narrow: "name", cell: Shape },
  { key: "spark", label: "last hour", width: "80px", cell: ({ spark }) => html`<${Sparkline} values=${spark} />` },
  { key: "calls", label: "calls", sort: "calls", number: true, width: "84px", narrow: "figure", cell: ({ calls }) => count(calls) },
  { key: "total", label: "total", about: "total time", sort: "total_ms", number: true, width: "88px", narrow: "figure", cell: (row) => html`<${Duration} value=${row.total_ms} />` },
  { key: "share", label: "share", about: "share of the time of all queries", number: true, width: "64px", cell: (row) => (all ? percent(row.total_ms, all) : "") },
  { key: "mean", label: "mean", about: "mean time", sort: "mean_ms", number: true, width: "88px", cell: (row) => html`<${Duration} value=${row.mean_ms} />` },
  { key: "p95", label: "p95", about: "95th percentile", sort: "p95_ms", number: true, width: "88px", narrow: "figure", cell: (row) => html`<${Duration} value=${row.p95_ms} />` },
  { key: "rows", label: "rows/call", about: "rows", sort: "rows", number: true, width: "88px", cell: ({ rows, calls }) => figure(rows / Math.max(1, calls)) },
  { key: "errors", label: "errors", sort: "errors", number: true, width: "72px", cell: ({ errors }) => html`<span class=${errors > 0 ? "bad" : "muted"}>${count(errors)}</span>` },
];

function Shape({ fingerprint, summary, query, spark }) {
  const name = summary || "other shapes";
  const tail = shapeTail(query);
  return html`<${Link} href=${`/queries/${fingerprint}`} title=${query} aria-label=${`${name} ${tail}, ${trendInWords(spark)}`}>
    ${name}<//> <span class="muted">${tail}</span>`;
}
