import { html, useEffect, useState } from "../../lib/preact.js";
import { onFinding } from "../../lib/live.js";
import { Link } from "../../lib/router.js";
import { useList } from "../../lib/useList.js";
import { Confidence, Duration, Empty, ListChanges, Section, Skeleton, Trouble } from "../../lib/parts.js";
import { count, plural } from "../../lib/words.js";

const SHOWN = 5;

/** The most costly findings, a line each. @param {{ queries: number }} props `queries`: how many were looked at */
export function FindingRows({ queries }) {
  const list = useList("findings", { status: "open", sort: "cost" }, ({ id }) => id, { pageItems: SHOWN });
  const statuses = useStatuses();
  const all = html`<${Link} href="/findings">All findings<//>`;
  return html`<${Section} title="Findings by cost" note=${html`<span class="section-tools"><${ListChanges} compact list=${list} noun="open" />${all}</span>`}>
    <${Trouble} error=${list.error} staleSince=${list.staleSince} retry=${list.sortAgain} />
    ${list.loading && html`<${Skeleton} rows=${3} />`}
    ${!list.loading && list.items.length === 0 && !list.error
      && html`<${Empty}>No repeated queries in ${plural(queries, "query", "queries")}. pgprism needs 3 children to call it an N+1.<//>`}
    <ul class=${list.staleSince ? "finding-rows stale" : "finding-rows"}>${list.items.map((finding) => html`<${Row} key=${finding.id} finding=${finding} status=${statuses[finding.id] ?? finding.status} />`)}</ul>
  <//>`;
}

/** What became of findings since the view was opened: a fixed one stays, struck through, until the next visit. */
function useStatuses() {
  const [statuses, setStatuses] = useState({});
  useEffect(() => onFinding(({ id, status }) => setStatuses((now) => ({ ...now, [id]: status }))), []);
  return statuses;
}

function Row({ finding, status }) {
  const { id, advice, confidence, cost_ms: cost, queries_before: before, queries_after: after } = finding;
  return html`<li class="finding-row" data-row=${id} data-finding=${id} data-status=${status}>
    <${Link} href=${`/findings/${id}`}>
      <${Confidence} level=${confidence} />
      <span class="title" title=${advice.title}>${advice.title}${status !== "open" && html`<span class="visually-hidden"> (${status})</span>`}</span>
      <span class="muted where">${whereSeen(finding)}</span>
      <span class="number"><${Duration} value=${cost} /></span>
      <span class="number muted gain">${count(before)} → ${count(after)} queries</span>
      <span class="chevron" aria-hidden="true">›</span>
    <//>
  </li>`;
}

/** The route it was seen in, else the callsite. */
function whereSeen({ tags }) {
  const [place] = [tags.route ?? tags.controller ?? tags.callsite ?? []].flat();
  return place ?? "no route";
}
