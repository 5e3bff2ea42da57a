import { html } from "../lib/preact.js";
import { useApi } from "../lib/useApi.js";
import { View } from "../lib/view.js";
import { SqlBlock } from "../lib/sql.js";
import { Copy, Empty, Neighbours, PhaseBar, Section, Skeleton, Time, Trouble, phasesTotal } from "../lib/parts.js";
import { bytes, count, exactMs, figure, ms, percent } from "../lib/words.js";
import { Distribution } from "./query/distribution.js";
import { Callers, ErrorCodes, Examples, Findings } from "./query/lists.js";

/** One shape. @param {{ params: { fingerprint: string } }} props */
export default function Query({ params: { fingerprint } }) {
  const asked = useApi(`queries/${encodeURIComponent(fingerprint)}`);
  const { data: summary } = useApi("summary");
  const query = asked.data;
  if (!query) {
    return html`<${View} name="query" title="Query" tab=${fingerprint}>
      ${asked.loading && html`<${Skeleton} rows=${12} />`}
      ${asked.error?.status === 404
        ? html`<${Empty} action=${{ href: "/queries", label: "All queries" }}>No query of the shape ${fingerprint} was seen since the start or the last reset.<//>`
        : html`<${Trouble} error=${asked.error} retry=${asked.reload} />`}
    <//>`;
  }
  const name = query.summary || "Other shapes";
  const identity = html`<span class="identity"><${Neighbours} list="queries" id=${fingerprint} base="/queries" /><code>${fingerprint}</code><${Copy} text=${fingerprint} name="Copy the fingerprint" compact /></span>`;
  return html`<${View} name="query" title=${name} aside=${identity}>
    <div class=${asked.staleSince ? "stale" : ""} data-fingerprint=${fingerprint}>
      <${Figures} query=${query} summary=${summary} />
      <div class="detail">
        <${Section} title="Distribution"><div class="section-body"><${Distribution} query=${query} /></div><//>
        <${Section} title="Phases" class="phases-section"><div class="section-body"><${Phases} query=${query} /></div><//>
        <${Section} title="SQL" note="values are never shown">
          <div class="section-body"><${SqlBlock} text=${query.query} label="Normalised SQL" /></div>
        <//>
        <${Section} title="Called from"><div class="section-body"><${Callers} query=${query} /></div><//>
        <${Section} title="Findings"><${Findings} findings=${query.findings} /><//>
        <${Section} title="Errors"><div class="section-body"><${ErrorCodes} query=${query} /></div><//>
        <${Section} title="Latest requests that ran it"><${Examples} units=${query.example_units} /><//>
        <${Section} title="Elsewhere"><div class="section-body"><${Elsewhere} fingerprint=${fingerprint} /></div><//>
      </div>
    </div>
  <//>`;
}

function Figures({ query, summary }) {
  const all = summary ? phasesTotal({ ...summary.phases, application_ms: 0 }) : null;
  return html`<dl class="figures">
    <div><dd>${count(query.calls)}</dd><dt>${query.calls === 1 ? "call" : "calls"}</dt></div>
    <div title=${exactMs(query.total_ms)}><dd>${ms(query.total_ms)}</dd><dt>${all ? `total, ${percent(query.total_ms, all)} of query time` : "total"}</dt></div>
    ${["p50", "p95", "p99"].map(
      (name) => html`<div key=${name} title=${exactMs(query[`${name}_ms`])}><dd>${ms(query[`${name}_ms`])}</dd><dt>${name}</dt></div>`,
    )}
  </dl>`;
}

function Phases({ query }) {
  const { phases, calls, bytes: size } = query;
  return html`<${PhaseBar} phases=${phases} legend />
    <dl class="facts">
      <dt>mean</dt><dd title=${exactMs(query.mean_ms)}>${ms(query.mean_ms)}</dd>
      <dt>shortest, longest</dt><dd>${ms(query.min_ms)}, ${ms(query.max_ms)}</dd>
      <dt>rows</dt><dd>${count(query.rows)}, ${figure(query.rows / Math.max(1, calls))} a call</dd>
      <dt>bytes</dt><dd>${bytes(size)}, ${bytes(size / Math.max(1, calls))} a call</dd>
      <dt>first, last seen</dt><dd><${Time} at=${query.first_seen} />, <${Time} at=${query.last_seen} /></dd>
    </dl>
    <p class="muted note">Application time is what follows a call inside its request; it is no part of the durations.</p>`;
}

function Elsewhere({ fingerprint }) {
  const grafana = `/d/pgprism-query?var-fingerprint=${fingerprint}`;
  const log = `pgprism fingerprint=${fingerprint}`;
  return html`<dl class="facts stacked">
    <dt>in Grafana</dt><dd><code>${grafana}</code> <${Copy} text=${grafana} name="Copy for Grafana" compact /></dd>
    <dt>in the slow-query log</dt><dd><code>${log}</code> <${Copy} text=${log} name="Copy for the log" compact /></dd>
  </dl>`;
}
