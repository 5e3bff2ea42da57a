import { html } from "./preact.js";
import { Link } from "./router.js";
import { Confidence, Copy, Time } from "./parts.js";
import { Proof } from "./proof-svg.js";
import { missingProof, parentCandidates, proofDiagram } from "./proof.js";
import { costEach, fixOf, savesEach } from "./finding-advice.js";
import { statementName } from "./statement-name.js";
import { cost, count, EVIDENCE, KINDS, ms, plural } from "./words.js";

/** A unit in which it was seen, by the word people use for it. */
const unitNoun = ({ tags }) => (tags.route ? "request" : "unit");

/** How sure, where, since when, and the price of one unit. @param {{ finding: any }} props */
export function FindingFacts({ finding }) {
  const { confidence, kind, tags, first_seen: first, last_seen: last, evidence, units, status } = finding;
  const noun = unitNoun(finding);
  return html`<div class="finding-facts">
    <ul class="dotted">
      <li><${Confidence} level=${confidence} /></li>
      ${status !== "open" && html`<li><b>${status}</b></li>`}
      <li>${KINDS[kind] ?? kind}</li>
      ${Object.entries(tags).map(([tag, values]) => html`<li key=${tag} title=${tag}>${values.join(", ")}</li>`)}
      ${!tags.route && html`<li class="muted">no route: set request tags</li>`}
      <li class="muted">first <${Time} at=${first} />, last <${Time} at=${last} /></li>
    </ul>
    <p class="finding-each">
      <b>${cost(costEach(finding))}</b> a ${noun}, ${plural(units, noun)}
      <span class="muted"> bounded by ${EVIDENCE[evidence] ?? evidence}</span>
    </p>
  </div>`;
}

/** The proof as a picture, and what is missing in it. @param {{ finding: any, unit: any }} props */
export function FindingProof({ finding, unit }) {
  const diagram = proofDiagram(finding, unit);
  const missing = missingProof(finding);
  return html`<section class="finding-half finding-proof" aria-labelledby="proof-title">
    <h2 id="proof-title">Proof</h2>
    ${finding.chain.length > 0 && html`<${Chain} chain=${finding.chain} />`}
    ${diagram && html`<${Proof} diagram=${diagram} />`}
    ${!diagram && html`<${Budget} finding=${finding} unit=${unit} />`}
    ${missing && html`<p class="finding-missing"><b>Missing:</b> ${missing}</p>`}
  </section>`;
}

/** The loops around this one, outermost first. */
function Chain({ chain }) {
  const place = (table, column) => [table, column].filter(Boolean).join(".");
  return html`<p class="finding-chain">Inside of
    ${chain.map(
      (link, at) => html`<span key=${at}> <code>${place(link.parent_table, link.parent_column)}</code>
        ${" → "}<code>${place(link.child_table, link.child_column)}</code></span>`,
    )}
  </p>`;
}

/** What there is to say of a unit that merely asks for much. */
function Budget({ finding, unit }) {
  const shapes = unit ? ` in ${plural(unit.shapes, "shape")}` : "";
  return html`<p>${plural(finding.queries_before, "query", "queries")}${shapes} in one ${unitNoun(finding)};
    ${count(finding.queries_after)} are allowed.</p>`;
}

/** What to type, and what it saves. @param {{ finding: any, unit: any }} props */
export function FindingFix({ finding, unit }) {
  const { advice, confidence } = finding;
  const { code, remarks } = fixOf(advice.django);
  const candidates = confidence === "suspected" ? parentCandidates(finding, unit) : [];
  return html`<section class="finding-half finding-fix" aria-labelledby="fix-title">
    <h2 id="fix-title">Fix</h2>
    ${confidence === "suspected"
      ? html`<${Candidates} finding=${finding} candidates=${candidates} advice=${advice} />`
      : code && html`<${Code} code=${code} />`}
    ${confidence !== "suspected" &&
    remarks.length > 0 &&
    html`<ul class=${code ? "finding-remarks" : ""}>${remarks.map((remark) => html`<li key=${remark}>${remark}</li>`)}</ul>`}
    <${Gain} finding=${finding} />
    <p class="finding-why"><b>Why:</b> ${advice.why}</p>
  </section>`;
}

function Code({ code }) {
  return html`<div class="finding-code">
    <pre tabindex="0" role="region" aria-label="Code of the fix"><code>${code}</code></pre>
    <${Copy} text=${code} name="Copy the code of the fix" />
  </div>`;
}

/** Where only repetition was seen: no code, but the queries whose rows the loop may run over. */
function Candidates({ finding, candidates, advice }) {
  return html`
    <p>${advice.title}${candidates.length > 0 ? ", if one of these feeds the loop:" : "."}</p>
    ${candidates.length === 0 &&
    html`<p class="muted">No earlier query of the example returned as many rows: the values may come from the code itself.</p>`}
    <ul class="finding-candidates">
      ${candidates.map(
        ({ index, fingerprint, query, rows }) => html`<li key=${index}>
          <${Link} href=${`/queries/${fingerprint}`}>${statementName(query)}<//>
          <span class="muted">${plural(rows, "row")}</span>
        </li>`,
      )}
    </ul>
    ${finding.example_unit && html`<p><${Link} href=${`/requests/${finding.example_unit}`}>See it happen<//></p>`}
  `;
}

/** Queries before and after as bars, and the time. */
function Gain({ finding }) {
  const { queries_before: before, queries_after: after, advice, kind } = finding;
  const noun = unitNoun(finding);
  if (kind === "chatty_unit") return null;
  const bar = (queries) => html`<span class="gain-bar" style=${{ width: `${Math.max((96 * queries) / Math.max(before, 1), 2)}px` }}></span>`;
  return html`<div class="finding-gain">
    <p><b>${count(before)} → ${count(after)}</b> queries a ${noun}
      <span class="gain-bars" aria-hidden="true">${bar(before)} → ${bar(after)}</span></p>
    <p>saves about ${cost(savesEach(finding))} a ${noun}, ${ms(advice.saves_ms)} of what was seen</p>
  </div>`;
}
