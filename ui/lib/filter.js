/** The filter grammar of all lists, for what is filtered in the page: the events of Live. */

/**
 * @typedef {{ field: string, operator: ":" | ">" | "<", value: string }} Term
 * @typedef {{ terms: Term[], words: string[] }} Filter
 */

const FIELDS = new Set(["route", "table", "op", "db", "user", "app", "kind", "status", "evidence"]);
const UNITS_MS = [["µs", 0.001], ["us", 0.001], ["ms", 1], ["min", 60_000], ["s", 1_000]];

/**
 * `op:update d>10ms error "two words"` as terms and words; what is not a term is a word.
 * @param {string} text
 * @returns {Filter}
 */
export function parseFilter(text) {
  const terms = [];
  const words = [];
  for (const part of splitParts(text)) {
    const term = parseTerm(part);
    if (term) terms.push(term);
    else if (part) words.push(unquoted(part).toLowerCase());
  }
  return { terms, words };
}

/** Parts between spaces; quotes hold spaces together. */
function splitParts(text) {
  const parts = [];
  let part = "";
  let quoted = false;
  for (const c of text) {
    if (c === '"') quoted = !quoted;
    if (c === " " && !quoted) {
      if (part) parts.push(part);
      part = "";
    } else part += c;
  }
  if (part) parts.push(part);
  return parts;
}

const unquoted = (part) => part.replaceAll('"', "");

function parseTerm(part) {
  if (part === "error") return { field: "error", operator: ":", value: "" };
  const comparison = part[1];
  if ((part[0] === "d" || part[0] === "n") && (comparison === ">" || comparison === "<")) {
    return { field: part[0], operator: comparison, value: part.slice(2) };
  }
  const colon = part.indexOf(":");
  const field = part.slice(0, colon).toLowerCase();
  if (colon < 1 || !FIELDS.has(field)) return null;
  return { field, operator: ":", value: unquoted(part.slice(colon + 1)).toLowerCase() };
}

/**
 * A duration with its unit, by default milliseconds.
 * @param {string} text
 * @returns {number} milliseconds; NaN for what is none
 */
export function parseDuration(text) {
  const unit = UNITS_MS.find(([name]) => text.endsWith(name));
  const digits = unit ? text.slice(0, -unit[0].length) : text;
  return digits.trim() === "" ? NaN : Number(digits) * (unit ? unit[1] : 1);
}

/**
 * Whether a query of the stream passes. Fields that it does not have match nothing.
 * @param {Filter} filter
 * @param {{ query: string, summary: string, operation: string, database: string, user: string, application: string,
 *   duration_ms: number, sqlstate: string | null, fingerprint: string }} event
 */
export function passes({ terms, words }, event) {
  const text = `${event.summary} ${event.query} ${event.fingerprint} ${event.sqlstate ?? ""}`.toLowerCase();
  return words.every((word) => text.includes(word)) && terms.every((term) => termPasses(term, event));
}

function termPasses({ field, operator, value }, event) {
  if (field === "error") return event.sqlstate !== null;
  if (field === "d") {
    const bound = parseDuration(value);
    return operator === ">" ? event.duration_ms > bound : event.duration_ms < bound;
  }
  const texts = { op: event.operation, table: event.summary, db: event.database, user: event.user, app: event.application };
  const found = texts[field];
  if (found === undefined) return false;
  return field === "op" ? found.toLowerCase() === value : found.toLowerCase().includes(value);
}
