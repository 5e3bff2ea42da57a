import { html } from "../../lib/preact.js";
import { Duration, PhaseBar, Time } from "../../lib/parts.js";
import { shapeTail } from "../../lib/sql-text.js";
import { count } from "../../lib/words.js";

/** What a query of the stream shows in its row. @param {(event: any) => void} choose */
export const columns = (choose) => [
  { key: "at", label: "time", width: "88px", narrow: "figure", cell: ({ at }) => html`<${Time} at=${at} />` },
  { key: "query", label: "query", narrow: "name", cell: (event) => html`<${Statement} event=${event} choose=${choose} />` },
  { key: "application", label: "application", width: "112px", cell: ({ application }) => application || html`<span class="muted">–</span>` },
  { key: "database", label: "database", width: "96px", cell: ({ database }) => database },
  { key: "where", label: "where it went", width: "120px", cell: ({ phases }) => html`<${PhaseBar} phases=${{ ...phases, application_ms: 0 }} />` },
  { key: "rows", label: "rows", number: true, width: "72px", narrow: "figure", cell: ({ rows }) => count(rows) },
  { key: "time", label: "took", number: true, width: "92px", narrow: "figure", cell: ({ duration_ms: took }) => html`<${Duration} value=${took} />` },
];

function Statement({ event, choose }) {
  const { summary, operation, query, sqlstate } = event;
  return html`<button type="button" class="link" title=${query} onClick=${() => choose(event)}>${summary || operation}</button>${" "}
    ${sqlstate && html`<span class="bad">✕ ${sqlstate} </span>`}<span class="muted">${shapeTail(query)}</span>`;
}
