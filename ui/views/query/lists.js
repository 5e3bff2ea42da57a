import { html } from "../../lib/preact.js";
import { Link } from "../../lib/router.js";
import { Confidence, Duration, Empty, PhaseBar, Time } from "../../lib/parts.js";
import { Table } from "../../lib/table.js";
import { count, percent } from "../../lib/words.js";

const CALLERS = [
  { key: "routes", label: "routes", filter: "route", none: "no query carried the tag route" },
  { key: "applications", label: "applications", filter: "app", none: "no application_name" },
  { key: "users", label: "users", filter: "user", none: "none" },
  { key: "databases", label: "databases", filter: "db", none: "none" },
];

/** Who runs a shape; each leads to the other shapes of the same caller. @param {{ query: any }} props */
export function Callers({ query }) {
  return html`<dl class="facts">
    ${CALLERS.map(
      ({ key, label, filter, none }) => html`<dt key=${`${key}-name`}>${label}</dt>
        <dd key=${key}>
          ${query[key].length === 0
            ? html`<span class="muted">${none}</span>`
            : query[key].map((name, index) => html`${index > 0 ? ", " : ""}<${Caller} key=${name} name=${name} filter=${filter} />`)}
        </dd>`,
    )}
  </dl>`;
}

function Caller({ name, filter }) {
  if (!name) return html`<span class="muted">(empty)</span>`;
  return html`<${Link} href=${`/queries?q=${encodeURIComponent(`${filter}:${quoted(name)}`)}`}>${name}<//>`;
}

const quoted = (name) => (name.includes(" ") ? `"${name}"` : name);

/** Errors by SQLSTATE. @param {{ query: any }} props */
export function ErrorCodes({ query }) {
  if (query.error_codes.length === 0) return html`<p class="muted">No call failed.</p>`;
  return html`<dl class="facts">
    ${query.error_codes.map(
      ({ code, count: number }) => html`<dt key=${code}><code class="bad">${code}</code></dt>
        <dd key=${`${code}-count`}>${count(number)}, ${percent(number, query.calls)} of calls</dd>`,
    )}
  </dl>`;
}

const FINDINGS = [
  { key: "title", label: "finding", narrow: "name", cell: ({ id, advice }) => html`<${Link} href=${`/findings/${id}`} title=${advice.title}>${advice.title}<//>` },
  { key: "confidence", label: "confidence", width: "110px", narrow: "figure", cell: ({ confidence }) => html`<${Confidence} level=${confidence} />` },
  { key: "status", label: "status", width: "72px", narrow: "figure", cell: ({ status }) => status },
  { key: "cost", label: "cost", number: true, width: "92px", narrow: "figure", cell: ({ cost_ms: cost }) => html`<${Duration} value=${cost} />` },
];

/** Findings in which a shape repeats or is the parent. @param {{ findings: any[] }} props */
export function Findings({ findings }) {
  if (findings.length === 0) return html`<${Empty}>It repeats in no finding.<//>`;
  return html`<${Table} label="Findings of this query" columns=${FINDINGS} rows=${findings} rowId=${({ id }) => id} rowProps=${({ id }) => ({ "data-finding": id })} />`;
}

const EXAMPLES = [
  { key: "route", label: "route or first query", narrow: "name", cell: ({ id, route }) => html`<${Link} href=${`/requests/${id}`}>${route ?? "no route"}<//>` },
  { key: "started", label: "started", width: "84px", narrow: "figure", cell: ({ started_at: at }) => html`<${Time} at=${at} />` },
  { key: "where", label: "where it went", width: "140px", cell: ({ phases }) => html`<${PhaseBar} phases=${phases} />` },
  { key: "queries", label: "queries", number: true, width: "72px", narrow: "figure", cell: ({ queries }) => count(queries) },
  { key: "time", label: "time", number: true, width: "92px", narrow: "figure", cell: ({ duration_ms: time }) => html`<${Duration} value=${time} />` },
];

/** Requests to look at. @param {{ units: any[] }} props */
export function Examples({ units }) {
  if (units.length === 0) return html`<${Empty}>No request that ran it is kept.<//>`;
  return html`<${Table} label="Requests that ran this query" columns=${EXAMPLES} rows=${units} rowId=${({ id }) => id} rowProps=${({ id }) => ({ "data-unit": id })} />`;
}
