import { html, useEffect, useState } from "../lib/preact.js";
import { Link, useQueryParams } from "../lib/router.js";
import { onFinding, summary } from "../lib/live.js";
import { useStore } from "../lib/store.js";
import { useList } from "../lib/useList.js";
import { Table } from "../lib/table.js";
import { View } from "../lib/view.js";
import { Confidence, Duration, Empty, ListChanges, Severity, Skeleton, Time, Trouble } from "../lib/parts.js";
import { Tabs } from "../lib/tabs.js";
import { costEach } from "../lib/finding-advice.js";
import { cost, count, KINDS, plural } from "../lib/words.js";

const TABS = [
  { value: "open", label: "Open" },
  { value: "muted", label: "Muted" },
  { value: "fixed", label: "Fixed" },
];

/** All findings of one status, the most costly first. */
export default function Findings() {
  const [{ status = "open", sort = "cost", q }, change] = useQueryParams();
  const list = useList("findings", { status, sort, q }, ({ id }) => id);
  const changed = useChangedStatus();
  const statusOf = (finding) => changed.get(finding.id) ?? finding.status;
  const total = list.total ?? list.items.length;
  const tab = status === "open" ? plural(total, "finding") : `${plural(total, "finding")}, ${status}`;

  return html`<${View} name="findings" title="Findings" tab=${list.loading ? "Findings" : tab}
    aside=${html`<${ListChanges} list=${list} noun=${total === 1 ? "finding" : "findings"} />`}>
    <${Tabs} label="Status" tabs=${TABS} value=${status} onChange=${(value) => change({ status: value === "open" ? null : value })} />
    <${Trouble} error=${list.error} staleSince=${list.staleSince} retry=${list.sortAgain} />
    ${list.loading && html`<${Skeleton} />`}
    ${!list.loading && !list.error && list.items.length === 0 && html`<${Nothing} status=${status} q=${q} />`}
    ${list.items.length > 0 &&
    html`<${Table} label="Findings" columns=${COLUMNS} rows=${list.items} rowId=${({ id }) => id} total=${list.total}
      sort=${sort} onSort=${(value) => change({ sort: value === "cost" ? null : value })} onEnd=${list.more}
      rowProps=${(finding) => rowProps(finding, statusOf(finding), status)} />`}
  <//>`;
}

/** A finding whose status has changed since the list was opened keeps its row, struck through. */
function rowProps(finding, now, shown) {
  return { "data-finding": finding.id, "data-status": now, class: now === shown ? undefined : "row-gone" };
}

/** Statuses that changed while the list is open, by id. @returns {Map<string, string>} */
function useChangedStatus() {
  const [changed, setChanged] = useState(new Map());
  useEffect(() => onFinding(({ id, status }) => setChanged((now) => new Map(now).set(id, status))), []);
  return changed;
}

/** Where a finding was seen. @param {{ tags: Record<string, string[]> }} finding */
function placeOf({ tags }) {
  const [first, ...others] = tags.route ?? tags.controller ?? [];
  if (!first) return html`<span class="muted">no route</span>`;
  return others.length > 0 ? `${first} and ${count(others.length)} more` : first;
}

/** @type {import("../lib/table.js").Column[]} */
const COLUMNS = [
  {
    key: "confidence",
    label: "sure",
    width: "116px",
    narrow: "mark",
    cell: ({ confidence }) => html`<${Confidence} level=${confidence} />`,
  },
  {
    key: "title",
    label: "finding",
    narrow: "name",
    cell: ({ id, advice, kind }) => html`<${Link} href=${`/findings/${id}`} class="cut" title=${`${advice.title} (${KINDS[kind] ?? kind})`}>${advice.title}<//>`,
  },
  { key: "place", label: "where", width: "12%", cell: placeOf },
  { key: "severity", label: "severity", width: "104px", cell: ({ severity }) => html`<${Severity} level=${severity} />` },
  {
    key: "queries",
    label: "queries",
    about: "queries in the largest unit, before and after the fix",
    width: "108px",
    number: true,
    narrow: "figure",
    cell: ({ queries_before: before, queries_after: after }) => `${count(before)} → ${count(after)}`,
  },
  {
    key: "each",
    label: "a unit",
    about: "cost of a unit in which it occurs",
    width: "80px",
    number: true,
    narrow: "figure",
    cell: (finding) => cost(costEach(finding)),
  },
  { key: "cost", label: "cost", sort: "cost", width: "84px", number: true, narrow: "figure", cell: ({ cost_ms: ms }) => html`<${Duration} value=${ms} />` },
  { key: "last_seen", label: "last seen", sort: "last_seen", width: "92px", number: true, cell: ({ last_seen: at }) => html`<${Time} at=${at} />` },
];

function Nothing({ status, q }) {
  const now = useStore(summary);
  if (q) return html`<${Empty} action=${{ href: "/findings", label: "Clear the filter." }}>No ${status} finding matches ${q}.<//>`;
  if (status !== "open") return html`<${Empty}>No finding is ${status}.<//>`;
  const seen = now ? ` in ${plural(now.queries, "query", "queries")}` : "";
  return html`<${Empty}>No open finding${seen}. pgprism needs 3 children to call it an N+1.<//>`;
}
