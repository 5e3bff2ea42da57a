import assert from "node:assert/strict";
import { test } from "node:test";

import { missingProof, parentCandidates, proofDiagram } from "../../ui/lib/proof.js";

/** A finding as the API has it, as far as a proof needs it. */
function finding(changes = {}, proof = {}) {
  return {
    kind: "n_plus_one_forward",
    confidence: "proved",
    evidence: "connection",
    fingerprint: "child",
    query: 'SELECT "id" FROM "shop_author" WHERE "id" = $1',
    parent_fingerprint: "parent",
    parent_table: "shop_book",
    parent_column: "author_id",
    child_table: "shop_author",
    child_column: "id",
    chain: [],
    queries: 40,
    occurrences: 4,
    proof: proof && { rows: 10, nulls: 0, distinct: 10, matched: 10, in_order: 10, pattern: "", ...proof },
    ...changes,
  };
}

const lookUp = (parent, { ms = 1, rows = 1, fingerprint = "child" } = {}) => ({
  fingerprint,
  query: `SELECT ${fingerprint}`,
  phases: { database_ms: ms, transfer_ms: 0, client_ms: 0, application_ms: 0 },
  rows,
  parent_index: parent,
});
const read = (rows, fingerprint = "parent") => lookUp(null, { rows, fingerprint });
const unit = (...timeline) => ({ timeline });
const loop = (times, options) => Array.from({ length: times }, () => lookUp(0, options));
const labels = (nodes) => nodes.map(({ label }) => label).join("");
const kinds = ({ edges }) => edges.map(({ kind }) => kind);

test("different values are letters in their order, and lines that do not cross", () => {
  const diagram = proofDiagram(finding({}, { rows: 5, distinct: 5, matched: 5, in_order: 5 }));
  assert.equal(labels(diagram.leftNodes), "ABCDE");
  assert.equal(labels(diagram.rightNodes), "ABCDE");
  assert.deepEqual(diagram.edges, [0, 1, 2, 3, 4].map((at) => ({ from: at, to: at, kind: "same order" })));
  assert.deepEqual(diagram.notes, []);
});

test("at most eight rows are drawn, the others are a figure", () => {
  const diagram = proofDiagram(finding({}, { rows: 45, distinct: 45, matched: 45, in_order: 45 }));
  assert.equal(diagram.leftNodes.length, 8);
  assert.deepEqual(diagram.notes, ["37 more, same order"]);
});

test("one value for all is one letter", () => {
  const diagram = proofDiagram(finding({}, { rows: 4, distinct: 1, matched: 4, in_order: 4 }));
  assert.equal(labels(diagram.rightNodes), "AAAA");
});

test("where the figures do not tell which values are equal, no letter is made up", () => {
  const diagram = proofDiagram(finding({}, { rows: 6, distinct: 4, matched: 6, in_order: 6 }));
  assert.equal(labels(diagram.rightNodes), "");
  assert.deepEqual(diagram.notes, ["4\u00a0values: 2 of 6 ask again for one already read"]);
  assert.match(diagram.text, /4 different values/);
});

test("rows with NULL stand below and lead nowhere", () => {
  const diagram = proofDiagram(finding({}, { rows: 7, nulls: 3, distinct: 4, matched: 4, in_order: 4 }));
  assert.deepEqual(diagram.leftNodes.at(-1), { label: "∅", note: "NULL, skipped (3)" });
  assert.ok(diagram.edges.every(({ from }) => from < 4));
  assert.match(diagram.text, /3.rows with NULL asked for nothing/);
});

test("values out of order cross, as many as the figures say", () => {
  const diagram = proofDiagram(finding({}, { rows: 8, distinct: 8, matched: 8, in_order: 5 }));
  assert.deepEqual(kinds(diagram), [...Array(5).fill("same order"), ...Array(3).fill("other order")]);
  assert.deepEqual(diagram.edges.slice(5).map(({ from, to }) => [from, to]), [[5, 7], [6, 6], [7, 5]]);
  assert.equal(labels(diagram.leftNodes), "", "which of them is out of order is not known");
  assert.deepEqual(diagram.notes, ["5 of 8 in the order of the rows, 3 out of it"]);
});

test("the times are those of an example with as many statements, and of no other", () => {
  const three = finding({}, { rows: 3, distinct: 3, matched: 3, in_order: 3 });
  const notes = (example) => proofDiagram(three, example).rightNodes.map(({ note }) => note);
  assert.deepEqual(notes(unit(read(3), ...loop(3, { ms: 1.25 }))), Array(3).fill("1.25\u00a0ms"));
  assert.deepEqual(notes(unit(read(4), ...loop(4))), Array(3).fill(undefined));
});

test("how many queries read the rows is said where the example tells", () => {
  const three = finding({}, { rows: 3, distinct: 3, matched: 3, in_order: 3 });
  assert.equal(proofDiagram(three).left.subtitle, "3\u00a0rows");
  assert.equal(proofDiagram(three, unit(read(3), ...loop(3))).left.subtitle, "1 query, 3\u00a0rows");
  const inner = { ...three, chain: [{ kind: "n_plus_one_reverse" }] };
  assert.equal(proofDiagram(inner).left.subtitle, "3\u00a0rows, read in a loop");
});

test("a relation to many fans out into the rows of each answer", () => {
  for (const kind of ["n_plus_one_reverse", "n_plus_one_many_to_many"]) {
    const many = finding({ kind }, { rows: 3, distinct: 3, matched: 3, in_order: 3 });
    const { rightNodes } = proofDiagram(many, unit(read(3), ...loop(3, { rows: 4 })));
    assert.deepEqual(rightNodes.map(({ fan }) => fan), [4, 4, 4]);
    assert.match(rightNodes[0].note, /4.rows/);
  }
});

test("a duplicate is one node, and an arrow back for each time", () => {
  const diagram = proofDiagram(finding({ kind: "duplicate", parent_fingerprint: null }, null));
  assert.equal(diagram.leftNodes.length, 1);
  assert.deepEqual(kinds(diagram), Array(8).fill("back"));
  assert.ok(diagram.edges.every(({ from }) => from === 0));
  assert.deepEqual(diagram.notes, ["2 more, again the same"]);
});

test("a write loop is arrows into one table", () => {
  const diagram = proofDiagram(finding({ kind: "write_loop", parent_fingerprint: null, child_table: "audit_entry", queries: 12 }, null));
  assert.deepEqual(diagram.rightNodes, [{ label: "audit_entry" }]);
  assert.deepEqual(diagram.edges.map(({ to }) => to), [0, 0, 0]);
});

test("look-ups of values from nowhere have an unknown source", () => {
  const diagram = proofDiagram(finding({ kind: "query_loop", parent_fingerprint: null }, null));
  assert.equal(labels(diagram.leftNodes), "?");
  assert.ok(kinds(diagram).every((kind) => kind === "unknown"));
});

test("a unit that merely asks for much has no diagram", () => {
  assert.equal(proofDiagram(finding({ kind: "chatty_unit" }, null)), null);
});

test("what is missing is said for all but the proved", () => {
  const missing = (changes, proof) => missingProof(finding({ confidence: "likely", ...changes }, proof));
  assert.equal(missingProof(finding()), null);
  assert.match(missing({}, { in_order: 4 }), /^6 of 10.values came in another order/);
  assert.match(missing({}, { rows: 40, distinct: 9, matched: 9, in_order: 9 }), /^Only 9 of 40.rows/);
  assert.match(missing({ evidence: "pause" }), /^Only a pause bounds these units/);
  assert.match(missing({ confidence: "suspected", kind: "query_loop" }, null), /^No result that was seen/);
  assert.ok(missing({ kind: "duplicate" }, null));
  assert.ok(missing({ kind: "chatty_unit" }, null));
});

test("candidates for the parent are earlier queries with enough rows, the closest first", () => {
  const suspected = finding({ confidence: "suspected", kind: "query_loop", parent_fingerprint: null }, null);
  const example = unit(read(100, "far"), read(4, "close"), read(2, "few"), ...loop(3), read(3, "later"));
  assert.deepEqual(parentCandidates(suspected, example).map(({ fingerprint }) => fingerprint), ["close", "far"]);
  assert.deepEqual(parentCandidates(suspected, null), []);
});
