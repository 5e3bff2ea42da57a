/**
 * What a finding's proof looks like: which values went from which rows to which statements.
 *
 * Pure: JSON of a finding (and of one unit in which it was seen) in, places and words out. Only what the figures say is
 * drawn: a letter is a class of equal values, and it stands only where the classes follow from the figures.
 */

import { statementName } from "./statement-name.js";
import { count, ms, plural } from "./words.js";

/** Rows drawn one by one; the others are a figure. */
const ROWS_MAX = 8;
const MISSING_NAME = "?";

/**
 * @typedef {object} Node
 * @property {string} label a letter, `∅`, `?`, or empty for a value whose class is not known
 * @property {string} [note] beside it: the time, the rows of the answer
 * @property {number} [fan] rows of its answer, drawn as a fan
 *
 * @typedef {object} Edge
 * @property {number} from place among the nodes on the left
 * @property {number} to place among the nodes on the right
 * @property {"same order" | "other order" | "back" | "unknown"} kind
 *
 * @typedef {object} Diagram
 * @property {{title: string, subtitle: string}} left
 * @property {{title: string, subtitle: string}} right
 * @property {Node[]} leftNodes from the top
 * @property {Node[]} rightNodes from the top
 * @property {Edge[]} edges
 * @property {string[]} notes below it
 * @property {string} text the same in words
 */

/**
 * The diagram of a finding, or null where there is nothing to draw.
 *
 * @param {object} finding as the API has it
 * @param {object | null} [unit] one in which it was seen, for the times
 * @returns {Diagram | null}
 */
export function proofDiagram(finding, unit = null) {
  const seen = examples(finding, unit);
  if (finding.kind === "duplicate") return repeated(finding, seen);
  if (finding.kind === "chatty_unit") return null;
  if (finding.proof && finding.proof.matched > 0) return flow(finding, seen);
  return finding.kind === "write_loop" ? writes(finding, seen) : sourceless(finding, seen);
}

/**
 * The statements of the loop in the example unit: none, unless they are as many as the proof speaks of.
 *
 * @returns {{durationMs: number, rows: number, parent: number | null}[]}
 */
function examples(finding, unit) {
  const timeline = unit?.timeline ?? [];
  const parent = finding.parent_fingerprint;
  const members = timeline.filter(
    (entry) =>
      entry.fingerprint === finding.fingerprint &&
      (parent === null || timeline[entry.parent_index]?.fingerprint === parent),
  );
  const expected = finding.proof?.matched ?? statementsEach(finding);
  if (members.length !== expected) return [];
  return members.map(({ phases, rows, parent_index: above }) => ({
    durationMs: phases.database_ms + phases.transfer_ms + phases.client_ms,
    rows,
    parent: above,
  }));
}

/** Statements of the loop in one unit, on average. */
function statementsEach({ queries, occurrences }) {
  return Math.round(queries / Math.max(occurrences, 1));
}

/** Values that flow from the rows of a parent into statements. */
function flow(finding, seen) {
  const { proof } = finding;
  const isInOrder = proof.in_order === proof.matched;
  const drawn = Math.min(proof.matched, ROWS_MAX);
  const letters = lettersOf(proof, drawn);
  const nodes = places(drawn).map((at) => ({ label: isInOrder ? letters[at] : "" }));
  const rightNodes = nodes.map((node, at) => ({ ...node, ...annotation(finding, seen[at]) }));
  const leftNodes = proof.nulls > 0 ? [...nodes, nullNode(proof.nulls)] : nodes;
  return {
    left: { title: place(finding.parent_table, finding.parent_column), subtitle: rowsRead(finding, seen) },
    right: {
      title: `${place(finding.child_table, finding.child_column)} = $1`,
      subtitle: `${plural(proof.matched, "query", "queries")}, one by one`,
    },
    leftNodes,
    rightNodes,
    edges: isInOrder ? parallel(drawn) : crossing(proof, drawn),
    notes: flowNotes(proof, drawn),
    text: flowText(finding),
  };
}

/** The rows whose values flow, and how many queries read them, where that is known. */
function rowsRead({ proof, chain }, seen) {
  const rows = plural(proof.rows, "row");
  if (chain.length > 0) return `${rows}, read in a loop`;
  const parents = new Set(seen.map(({ parent }) => parent));
  return parents.size === 1 ? `1 query, ${rows}` : rows;
}

const places = (number) => Array.from({ length: number }, (_, at) => at);

/** Letters of the first values; empty where the figures do not tell which of them are equal. */
function lettersOf({ matched, distinct }, drawn) {
  if (distinct >= matched) return places(drawn).map(letter);
  if (distinct === 1) return places(drawn).map(() => letter(0));
  return places(drawn).map(() => "");
}

const letter = (at) => String.fromCharCode("A".charCodeAt(0) + at);

const nullNode = (nulls) => ({ label: "∅", note: `NULL, skipped (${count(nulls)})` });

/** The time of a statement; for a relation to many, the rows of its answer. */
function annotation({ kind }, one) {
  if (!one) return {};
  const fansOut = kind === "n_plus_one_reverse" || kind === "n_plus_one_many_to_many";
  const time = ms(one.durationMs);
  return fansOut ? { note: `${time}, ${plural(one.rows, "row")}`, fan: one.rows } : { note: time };
}

const parallel = (drawn) => places(drawn).map((at) => ({ from: at, to: at, kind: "same order" }));

/**
 * As many lines cross as the figures say, to scale; which ones is not known, so they stand at the bottom.
 */
function crossing({ matched, in_order }, drawn) {
  const crossed = Math.min(Math.max(Math.round((drawn * (matched - in_order)) / matched), 2), drawn);
  const straight = drawn - crossed;
  return places(drawn).map((at) =>
    at < straight
      ? { from: at, to: at, kind: "same order" }
      : { from: at, to: straight + drawn - 1 - at, kind: "other order" },
  );
}

function flowNotes({ matched, in_order, distinct }, drawn) {
  const notes = [];
  const further = matched - drawn;
  if (in_order < matched) {
    notes.push(`${count(in_order)} of ${count(matched)} in the order of the rows, ${count(matched - in_order)} out of it`);
  } else if (further > 0) {
    notes.push(`${count(further)} more, same order`);
  }
  if (distinct > 0 && distinct < matched) {
    notes.push(`${plural(distinct, "value")}: ${count(matched - distinct)} of ${count(matched)} ask again for one already read`);
  }
  return notes;
}

function flowText(finding) {
  const { proof } = finding;
  const order =
    proof.in_order === proof.matched ? "in the same order" : `${count(proof.in_order)} of them in the same order`;
  const nulls = proof.nulls > 0 ? ` ${plural(proof.nulls, "row")} with NULL asked for nothing.` : "";
  const distinct = proof.distinct < proof.matched ? ` There are ${count(proof.distinct)} different values among them.` : "";
  return (
    `${plural(proof.rows, "row")} of ${finding.parent_table ?? "a query"} were read. ` +
    `${plural(proof.matched, "query", "queries")} then compared ${place(finding.child_table, finding.child_column)} ` +
    `with a value of ${place(finding.parent_table, finding.parent_column)}, ${order}.${nulls}${distinct}`
  );
}

/** The same question again: one node, and an arrow back for each time. */
function repeated(finding, seen) {
  const times = statementsEach(finding);
  const drawn = Math.min(times, ROWS_MAX);
  const name = statementName(finding.query);
  return {
    left: { title: name, subtitle: "one question" },
    right: { title: "the same text, the same values", subtitle: `asked ${count(times)} times a unit` },
    leftNodes: [{ label: "A" }],
    rightNodes: places(drawn).map((at) => ({ label: "A", ...annotation(finding, seen[at]) })),
    edges: places(drawn).map((at) => ({ from: 0, to: at, kind: "back" })),
    notes: further(times, drawn, "again the same"),
    text: `${name} is asked about ${plural(times, "time")} a unit, each time with the same text and the same values.`,
  };
}

/** Writes of one row each, all into one table; their values come from no result that was seen. */
function writes(finding, seen) {
  const times = statementsEach(finding);
  const drawn = Math.min(times, ROWS_MAX);
  const name = statementName(finding.query);
  const table = finding.child_table ?? MISSING_NAME;
  return {
    left: { title: name, subtitle: `${plural(times, "statement")} a unit, one row each` },
    right: { title: table, subtitle: "one table" },
    leftNodes: places(drawn).map((at) => ({ label: "", ...annotation(finding, seen[at]) })),
    rightNodes: [{ label: table }],
    edges: places(drawn).map((at) => ({ from: at, to: 0, kind: "same order" })),
    notes: further(times, drawn, "one row each"),
    text: `About ${plural(times, "statement")} a unit write one row of ${table} each.`,
  };
}

/** Look-ups whose values come from nowhere that was seen. */
function sourceless(finding, seen) {
  const times = statementsEach(finding);
  const drawn = Math.min(times, ROWS_MAX);
  const where = place(finding.child_table, finding.child_column);
  return {
    left: { title: "source not known", subtitle: "no result returned these values" },
    right: { title: `${where} = $1`, subtitle: `${plural(times, "query", "queries")} a unit, one by one` },
    leftNodes: [{ label: MISSING_NAME }],
    rightNodes: places(drawn).map((at) => ({ label: "", ...annotation(finding, seen[at]) })),
    edges: places(drawn).map((at) => ({ from: 0, to: at, kind: "unknown" })),
    notes: further(times, drawn, "other values"),
    text: `About ${plural(times, "query", "queries")} a unit look up ${where}, each with another value. No result that was seen returned these values.`,
  };
}

function further(times, drawn, word) {
  return times > drawn ? [`${count(times - drawn)} more, ${word}`] : [];
}

/** `table.column`, as far as they are known. */
function place(table, column) {
  return [table, column].filter(Boolean).join(".") || MISSING_NAME;
}

/** Evidence that is no boundary of its own. */
const SOFT_EVIDENCE = new Set(["pause", "session_lookup"]);

/**
 * What a finding lacks to be proved, in one line; null for a proved one.
 *
 * @param {object} finding as the API has it
 * @returns {string | null}
 */
export function missingProof({ confidence, kind, evidence, proof }) {
  if (confidence === "proved") return null;
  if (kind === "duplicate") return "Repetition alone proves no waste: the code may wait for somebody else to write.";
  if (kind === "chatty_unit") return "This is a count over the budget, not a loop.";
  if (!proof) return "No result that was seen returned these values.";
  if (proof.in_order < proof.matched) {
    return `${count(proof.matched - proof.in_order)} of ${plural(proof.matched, "value")} came in another order than the rows.`;
  }
  const rows = proof.rows - proof.nulls;
  if (proof.distinct < rows * 0.8 && proof.matched < rows * 0.8) {
    return `Only ${count(proof.matched)} of ${plural(rows, "row")} were looked up.`;
  }
  if (evidence === "pause") return "Only a pause bounds these units: set request tags.";
  if (SOFT_EVIDENCE.has(evidence)) return "Only a session look-up bounds these units: set request tags.";
  return "The values agree, but nothing else says that the two columns belong together.";
}

/** Parents that are offered at most. */
const CANDIDATES_MAX = 3;

/**
 * Earlier statements of a unit whose rows the loop may run over: those that returned at least as many rows as it has
 * statements, the closest figure first.
 *
 * @param {object} finding
 * @param {object | null} unit one in which it was seen
 * @returns {{index: number, fingerprint: string, query: string, rows: number}[]}
 */
export function parentCandidates(finding, unit) {
  const timeline = unit?.timeline ?? [];
  const first = timeline.findIndex(({ fingerprint }) => fingerprint === finding.fingerprint);
  if (first < 0) return [];
  const times = timeline.filter(({ fingerprint }) => fingerprint === finding.fingerprint).length;
  return timeline
    .slice(0, first)
    .map(({ fingerprint, query, rows }, index) => ({ index, fingerprint, query, rows }))
    .filter(({ rows }) => rows >= times)
    .sort((a, b) => a.rows - b.rows || b.index - a.index)
    .slice(0, CANDIDATES_MAX);
}
