import { html } from "../../lib/preact.js";
import { Link } from "../../lib/router.js";
import { useList } from "../../lib/useList.js";
import { Duration, ListChanges, Section, Skeleton, Sparkline, Trouble, trendInWords } from "../../lib/parts.js";
import { Table } from "../../lib/table.js";
import { shapeTail } from "../../lib/sql-text.js";
import { count } from "../../lib/words.js";

const SHOWN = 9;

const COLUMNS = [
  { key: "shape", label: "shape", narrow: "name", cell: Shape },
  { key: "spark", label: "last hour", width: "76px", cell: ({ spark }) => html`<${Sparkline} values=${spark} />` },
  { key: "calls", label: "calls", number: true, width: "68px", narrow: "figure", cell: ({ calls }) => count(calls) },
  { key: "total", label: "total", number: true, width: "72px", narrow: "figure", cell: (row) => html`<${Duration} value=${row.total_ms} />` },
  { key: "p95", label: "p95", number: true, width: "92px", narrow: "figure", cell: (row) => html`<${Duration} value=${row.p95_ms} />` },
];

function Shape({ fingerprint, summary, query, spark }) {
  const name = summary || "other shapes";
  const tail = shapeTail(query);
  return html`<${Link} href=${`/queries/${fingerprint}`} title=${query} aria-label=${`${name} ${tail}, ${trendInWords(spark)}`}>${name} <span class="muted">${tail}</span><//>`;
}

/** The shapes that took most time. */
export function TopShapes() {
  const list = useList("queries", { sort: "total_ms" }, ({ fingerprint }) => fingerprint, { pageItems: SHOWN });
  const note = html`<span class="section-tools"><${ListChanges} compact list=${list} noun="shapes" /><${Link} href="/queries">All queries<//></span>`;
  return html`<${Section} title="Top shapes by total time" note=${note} class=${list.staleSince ? "stale" : ""}>
    <${Trouble} error=${list.error} staleSince=${list.staleSince} retry=${list.sortAgain} />
    ${list.loading
      ? html`<${Skeleton} />`
      : html`<${Table} label="Shapes by total time" columns=${COLUMNS} rows=${list.items} rowId=${({ fingerprint }) => fingerprint}
          rowProps=${({ fingerprint }) => ({ "data-fingerprint": fingerprint })} />`}
  <//>`;
}
