/** The fix of a finding as code to copy and words to read, and the whole finding as Markdown. */

import { missingProof, proofDiagram } from "./proof.js";
import { cost, count, KINDS, ms, plural } from "./words.js";

/** Between the code of a line and what it says about itself. */
const COMMENT = "# ";

/**
 * The Django line in its parts.
 *
 * @param {string} django `code  # where it goes; where its names come from`
 * @returns {{code: string, remarks: string[]}} `code` is empty where the line is only a remark
 */
export function fixOf(django) {
  const at = commentAt(django);
  const code = at < 0 ? django : django.slice(0, at);
  const remarks = at < 0 ? [] : django.slice(at + COMMENT.length).split("; ");
  return { code: code.trim(), remarks: remarks.map((remark) => remark.trim()).filter(Boolean) };
}

/** Where the comment begins: the first `# ` outside of a string. */
function commentAt(line) {
  let quoted = false;
  for (let at = 0; at < line.length; at += 1) {
    if (line[at] === '"') quoted = !quoted;
    else if (!quoted && line.startsWith(COMMENT, at)) return at;
  }
  return -1;
}

/** What a fix saves a unit, milliseconds. */
export function savesEach({ advice, units }) {
  return advice.saves_ms / Math.max(units, 1);
}

/** What a finding costs a unit, milliseconds. */
export function costEach({ cost_ms, units }) {
  return cost_ms / Math.max(units, 1);
}

/**
 * A finding for a ticket or a chat.
 *
 * @param {object} finding as the API has it
 * @returns {string}
 */
export function findingMarkdown(finding) {
  const { advice } = finding;
  const { code, remarks } = fixOf(advice.django);
  const unproved = missingProof(finding);
  const diagram = proofDiagram(finding);
  const lines = [
    `### ${advice.title}`,
    "",
    `- ${finding.confidence}, ${KINDS[finding.kind] ?? finding.kind}, severity ${finding.severity}`,
    ...Object.entries(finding.tags).map(([tag, values]) => `- ${tag}: ${values.map((value) => `\`${value}\``).join(", ")}`),
    `- costs ${ms(finding.cost_ms)} in ${plural(finding.units, "unit")}, ${cost(costEach(finding))} each`,
    `- ${count(finding.queries_before)} → ${count(finding.queries_after)} queries; the fix saves about ${ms(advice.saves_ms)}`,
    "",
    ...(code ? ["```python", code, "```", ""] : []),
    ...remarks.map((remark) => `> ${remark}`),
    ...(remarks.length ? [""] : []),
    advice.why,
    "",
    ...(diagram ? [`Proof: ${diagram.text}`, ""] : []),
    ...(unproved ? [`Missing: ${unproved}`, ""] : []),
    ...(finding.query ? ["```sql", finding.query, "```", ""] : []),
    `pgprism finding \`${finding.id}\``,
  ];
  return `${lines.join("\n").replaceAll("\u00a0", " ").replaceAll("\u202f", " ")}\n`;
}
