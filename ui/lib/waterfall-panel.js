import { html } from "./preact.js";
import { Link } from "./router.js";
import { Copy, PhaseBar } from "./parts.js";
import { SqlBlock } from "./sql.js";
import { statementName } from "./statement-name.js";
import { ABOUT_APPLICATION, rowName } from "./waterfall-row.js";
import { count, exactMs, ms, percent, plural } from "./words.js";

/** Length at which the API cuts the text of a statement in a timeline. */
const CUT_CHARACTERS = 1_000;

/**
 * All that is known of one row.
 * @param {{ item: import("./waterfall.js").Item, fall: import("./waterfall.js").Waterfall, finding: any,
 *   onClose: () => void, onShow: (index: number) => void }} props `onShow`: goes to a statement by its place
 */
export function WaterfallPanel({ item, fall, finding, onClose, onShow }) {
  const close = (event) => {
    if (event.key !== "Escape") return;
    event.preventDefault();
    onClose();
  };
  return html`<aside class="wf-panel" aria-label="Selected row" onKeyDown=${close}>
    <header class="wf-panel-head"><h2>${rowName(item)}</h2><button type="button" class="button" onClick=${onClose}>Close</button></header>
    ${item.kind === "application" ? html`<${OfGap} gap=${item} fall=${fall} />` : html`<${OfQuery} item=${item} fall=${fall} finding=${finding} onShow=${onShow} />`}
  </aside>`;
}

function OfGap({ gap, fall }) {
  return html`<p>${ms(gap.durationMs)} from ${ms(gap.startMs)} on, ${percent(gap.durationMs, fall.durationMs)} of the whole.</p>
    <p class="muted">${ABOUT_APPLICATION}.</p>`;
}

function OfQuery({ item, fall, finding, onShow }) {
  const members = item.members ?? [item];
  const phases = sumOf(members);
  return html`
    <dl class="wf-facts">
      <${Fact} name="starts at" title=${exactMs(item.startMs)}>${ms(item.startMs)}<//>
      ${item.kind === "group" &&
      html`<${Fact} name="sum" title=${exactMs(item.sumMs)}>${ms(item.sumMs)}, ${percent(item.sumMs, fall.durationMs)} of the whole<//>
        <${Fact} name="each" title=${exactMs(item.eachMs)}>${ms(item.eachMs)} (median)<//>`}
      <${Fact} name=${item.kind === "group" ? "first to last" : "took"} title=${exactMs(item.durationMs)}>${ms(item.durationMs)}<//>
      <${Fact} name="rows">${count(item.rows)}<//>
      ${item.sqlstate && html`<${Fact} name="failed">✕ SQLSTATE ${item.sqlstate}<//>`}
      ${item.errors > 0 && html`<${Fact} name="failed">✕ ${plural(item.errors, "query", "queries")}<//>`}
      <${Fact} name="shape"><${Link} href=${`/queries/${item.fingerprint}`}><code>${item.fingerprint}</code><//>
        ${" "}<${Copy} text=${item.fingerprint} compact name="Copy the fingerprint" /><//>
      ${finding && html`<${Fact} name="finding"><${Link} href=${`/findings/${finding.id}`}>● ${finding.advice.title}<//><//>`}
    </dl>
    <${PhaseBar} phases=${phases} legend />
    <${Family} members=${members} fall=${fall} onShow=${onShow} />
    <div class="wf-panel-sql"><${SqlBlock} text=${item.query} /></div>
    ${item.query.length >= CUT_CHARACTERS && html`<p class="muted">Cut at ${count(CUT_CHARACTERS)} characters; the shape has all of it.</p>`}
  `;
}

function Fact({ name, title, children }) {
  return html`<div><dt>${name}</dt><dd title=${title}>${children}</dd></div>`;
}

function sumOf(members) {
  const sum = { database_ms: 0, transfer_ms: 0, client_ms: 0 };
  for (const { phases } of members) for (const key of Object.keys(sum)) sum[key] += phases[key];
  return sum;
}

/** The statements whose rows gave the values, up to the first one, and those that took values from here. */
function Family({ members, fall, onShow }) {
  const own = new Set(members.map(({ index }) => index));
  const children = fall.statements.filter(({ origin }) => own.has(origin));
  const above = [];
  for (let at = members[0].origin; at !== null; at = fall.statements[at].origin) above.unshift(fall.statements[at]);
  if (above.length === 0 && children.length === 0) return null;
  const link = (one, note) => html`<li key=${one.index}><button type="button" class="link" onClick=${() => onShow(one.index)}>${statementName(one.query)}</button> <span class="muted">${note}</span></li>`;
  return html`<div class="wf-family">
    ${above.length > 0 && html`<h3>Values from</h3><ul>${above.map((one) => link(one, plural(one.rows, "row")))}</ul>`}
    ${children.length > 0 && html`<h3>Values to</h3><ul>${firstOfEach(children).map(([one, times]) => link(one, `× ${count(times)}`))}</ul>`}
  </div>`;
}

/** The first statement of each shape, and how many there are. */
function firstOfEach(statements) {
  const found = new Map();
  for (const one of statements) {
    const before = found.get(one.fingerprint);
    found.set(one.fingerprint, before ? [before[0], before[1] + 1] : [one, 1]);
  }
  return [...found.values()];
}
