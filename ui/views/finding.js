import { html } from "../lib/preact.js";
import { Link } from "../lib/router.js";
import { useApi } from "../lib/useApi.js";
import { View } from "../lib/view.js";
import { Copy, Empty, Neighbours, Section, Severity, Skeleton, Trouble } from "../lib/parts.js";
import { FindingFacts, FindingFix, FindingProof } from "../lib/finding-parts.js";
import { MuteButton } from "../lib/mute-button.js";
import { UnitPreview } from "../lib/waterfall-preview.js";
import { findingMarkdown } from "../lib/finding-advice.js";
import { SqlBlock } from "../lib/sql.js";
import { ms, unitWord } from "../lib/words.js";

/** One finding: what, how much, why to believe it, what to type. @param {{ params: { id: string } }} props */
export default function Finding({ params }) {
  const asked = useApi(`findings/${encodeURIComponent(params.id)}`);
  const finding = asked.data;
  const unit = useApi(finding?.example_unit ? `units/${finding.example_unit}` : null, {}, { refreshMs: 0 }).data;

  if (asked.error?.status === 404) return html`<${Gone} />`;
  if (!finding) {
    return html`<${View} name="finding" title="Finding">
      <${Trouble} error=${asked.error} staleSince=${asked.staleSince} retry=${asked.reload} />
      ${asked.loading && html`<${Skeleton} />`}
    <//>`;
  }
  return html`<${View} name="finding" title=${finding.advice.title} aside=${html`<${Price} finding=${finding} />`}>
    <${Trouble} error=${asked.error} staleSince=${asked.staleSince} retry=${asked.reload} />
    <article class="finding-card" data-finding=${finding.id} data-status=${finding.status}>
      <${FindingFacts} finding=${finding} />
      <div class="finding-halves">
        <${FindingProof} finding=${finding} unit=${unit} />
        <${FindingFix} finding=${finding} unit=${unit} />
      </div>
      <${Actions} key=${finding.id} finding=${finding} unit=${unit} onMuted=${asked.reload} />
    </article>
    ${unit && html`<${Example} finding=${finding} unit=${unit} />`}
    <${Statements} finding=${finding} />
  <//>`;
}

function Price({ finding }) {
  return html`<span class="finding-price">
    <${Neighbours} list="findings" id=${finding.id} base="/findings" params=${{ status: finding.status }} />
    <b class="finding-cost" title="Cost of all occurrences">${ms(finding.cost_ms)}</b>
    <${Severity} level=${finding.severity} />
  </span>`;
}

function Actions({ finding, unit, onMuted }) {
  const shape = (fingerprint, label) =>
    fingerprint && html`<${Link} class="button" href=${`/queries/${fingerprint}`}>${label} <span aria-hidden="true">›</span><//>`;
  return html`<footer class="finding-actions">
    ${unit &&
    html`<${Link} class="button" href=${`/requests/${unit.id}`}>
      Example ${unitWord(unit)}, ${ms(unit.duration_ms)} <span aria-hidden="true">›</span>
    <//>`}
    ${shape(finding.parent_fingerprint, "Parent query")}
    ${shape(finding.fingerprint, "Repeated query")}
    <span class="finding-actions-end">
      <${MuteButton} finding=${finding} onDone=${onMuted} />
      <${Copy} text=${findingMarkdown(finding)} label="Copy as Markdown" />
    </span>
  </footer>`;
}

function Example({ finding, unit }) {
  const note = html`<${Link} href=${`/requests/${unit.id}`}>Open this ${unitWord(unit)}<//>`;
  return html`<${Section} title="Where it happens" note=${note}>
    <${UnitPreview} key=${unit.id} unit=${unit} findings=${[finding]} />
  <//>`;
}

function Statements({ finding }) {
  return html`<${Section} title="Queries">
    <div class="section-body finding-queries">
      ${finding.parent_query &&
      html`<div><h3>Parent query</h3><${SqlBlock} text=${finding.parent_query} label="Parent query" /></div>`}
      <div><h3>${finding.kind === "chatty_unit" ? "First query" : "Repeated query"}</h3>
        <${SqlBlock} text=${finding.query} label="Repeated query" /></div>
    </div>
  <//>`;
}

function Gone() {
  return html`<${View} name="finding" title="Finding">
    <${Empty} action=${{ href: "/findings", label: "All findings" }}>
      This finding is not known here. It may have been forgotten, or this is another pgprism.
    <//>
  <//>`;
}
