import { html } from "../lib/preact.js";
import { Link, useQueryParams } from "../lib/router.js";
import { useList } from "../lib/useList.js";
import { Table } from "../lib/table.js";
import { Tabs } from "../lib/tabs.js";
import { View } from "../lib/view.js";
import { Duration, Empty, ListChanges, PhaseBar, Skeleton, Time, Trouble } from "../lib/parts.js";
import { count, EVIDENCE, plural } from "../lib/words.js";

/** Tabs by the words of the filter that they add. */
const TABS = [
  { value: "all", label: "All", adds: "" },
  { value: "findings", label: "With findings", adds: "finding" },
  { value: "incomplete", label: "Incomplete", adds: "state:incomplete" },
];

/** Units of work, the latest first. */
export default function Requests() {
  const [{ show = "all", sort = "started_at", q = "", from, to, fingerprint, finding, route }, change] = useQueryParams();
  const { adds } = TABS.find(({ value }) => value === show) ?? TABS[0];
  const filter = [q, adds].filter(Boolean).join(" ");
  const list = useList("units", { sort, q: filter, from, to, fingerprint, finding, route }, ({ id }) => id);
  const narrowings = Object.entries({ from, to, fingerprint, finding, route }).filter(([, value]) => value);

  return html`<${View} name="requests" title="Requests" aside=${html`<${ListChanges} list=${list} noun="match" />`}>
    <div class="requests-tools">
      <${Tabs} label="Which requests" tabs=${TABS} value=${show} onChange=${(value) => change({ show: value === "all" ? null : value })} />
      ${narrowings.map(
        ([name, value]) => html`<button key=${name} type="button" class="button small" title="Remove"
          aria-label=${`Remove ${name} ${value}`} onClick=${() => change({ [name]: null })}>${name} ${value} <span aria-hidden="true">✕</span></button>`,
      )}
    </div>
    <${Trouble} error=${list.error} staleSince=${list.staleSince} retry=${list.sortAgain} />
    ${list.loading && html`<${Skeleton} />`}
    ${!list.loading && !list.error && list.items.length === 0 && html`<${Nothing} filtered=${filter || narrowings.length > 0} q=${q} show=${show} />`}
    ${list.items.length > 0 &&
    html`<${Table} label="Requests" columns=${COLUMNS} rows=${list.items} rowId=${({ id }) => id} total=${list.total}
      sort=${sort} onSort=${(value) => change({ sort: value === "started_at" ? null : value })} onEnd=${list.more}
      rowProps=${({ id }) => ({ "data-unit": id })} />`}
  <//>`;
}

/** @type {import("../lib/table.js").Column[]} */
const COLUMNS = [
  { key: "started", label: "started", sort: "started_at", width: "92px", narrow: "mark", cell: ({ started_at: at }) => html`<${Time} at=${at} />` },
  {
    key: "route",
    label: "route",
    narrow: "name",
    cell: ({ id, route, controller }) => html`<${Link} href=${`/requests/${id}`} class="cut" title=${[route, controller].filter(Boolean).join(", ")}>${
      route ?? `unit ${id}`
    }<//>`,
  },
  { key: "time", label: "time", sort: "duration", width: "84px", number: true, narrow: "figure", cell: ({ duration_ms: ms }) => html`<${Duration} value=${ms} />` },
  { key: "where", label: "where it went", sort: "database_time", about: "database time", width: "15%", cell: ({ phases }) => html`<${PhaseBar} phases=${phases} />` },
  {
    key: "queries",
    label: "queries",
    sort: "queries",
    width: "80px",
    number: true,
    narrow: "figure",
    cell: ({ queries }) => count(queries),
  },
  { key: "shapes", label: "shapes", width: "72px", number: true, cell: ({ shapes }) => count(shapes) },
  { key: "repeats", label: "repeats", about: "queries that repeat an earlier one with the same values", width: "76px", number: true, cell: ({ duplicates }) => count(duplicates) },
  { key: "findings", label: "findings", width: "84px", number: true, narrow: "figure", cell: FindingsCount },
  { key: "evidence", label: "evidence", about: "what holds its queries together", width: "136px", cell: Evidence },
];

function FindingsCount({ findings }) {
  if (findings.length === 0) return html`<span class="muted" aria-label="no findings">–</span>`;
  return html`<span title=${plural(findings.length, "finding")}><span aria-hidden="true">● </span>${count(findings.length)}</span>`;
}

function Evidence({ evidence, incomplete, state }) {
  return html`<span class="muted">${EVIDENCE[evidence] ?? evidence}</span>${incomplete && html` <b title="Queries are missing">▲ incomplete</b>`}${
    state === "open" && html` <span class="muted">(open)</span>`
  }`;
}

function Nothing({ filtered, q, show }) {
  if (!filtered) {
    return html`<${Empty}>Waiting for the first request. Point DATABASE_URL at pgprism and load a page.<//>`;
  }
  const what = q ? ` matches ${q}` : show === "findings" ? " has findings" : show === "incomplete" ? " is incomplete" : " matches";
  return html`<${Empty} action=${{ href: "/requests", label: "Show all." }}>No request${what}.<//>`;
}
