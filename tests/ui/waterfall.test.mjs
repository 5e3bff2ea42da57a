import assert from "node:assert/strict";
import { test } from "node:test";

import { rowOf, shownRows, waterfall } from "../../ui/lib/waterfall.js";

/** A statement as the API has it. */
function entry(atMs, shape, { parent = null, databaseMs = 1, transferMs = 0, clientMs = 0, rows = 1, sqlstate = null, transaction = null } = {}) {
  return {
    at_ms: atMs,
    fingerprint: shape,
    query: `SELECT ${shape}`,
    phases: { database_ms: databaseMs, transfer_ms: transferMs, client_ms: clientMs, application_ms: 0 },
    rows,
    sqlstate,
    parent_index: parent,
    transaction,
  };
}

const unit = (durationMs, timeline) => ({ duration_ms: durationMs, timeline });
const names = (items) => items.map(({ kind, id }) => (kind === "group" ? `group ${id}` : id));
const nothingOpen = { expanded: new Set() };

test("a group is three or more of one shape under one parent", () => {
  const two = waterfall(unit(20, [entry(0, "book"), entry(1, "author", { parent: 0 }), entry(2, "author", { parent: 0 })]));
  assert.deepEqual(names(two.items), ["s0", "s1", "s2"]);

  const three = waterfall(unit(20, [
    entry(0, "book"),
    ...[1, 2, 3].map((at) => entry(at, "author", { parent: 0 })),
  ]));
  assert.deepEqual(names(three.items), ["s0", "group g1"]);
  assert.deepEqual(three.items[1].members.map(({ index }) => index), [1, 2, 3]);
});

test("shapes that interleave are two groups", () => {
  const timeline = [entry(0, "book")];
  for (let row = 0; row < 4; row += 1) {
    timeline.push(entry(1 + row * 2, "author", { parent: 0 }), entry(2 + row * 2, "publisher", { parent: 0 }));
  }
  const { items } = waterfall(unit(9, timeline));
  assert.deepEqual(names(items), ["s0", "group g1", "group g2"]);
  assert.deepEqual(items.slice(1).map(({ members }) => members.length), [4, 4]);
});

test("the same shape under two parents is two groups", () => {
  const loop = (from, parent) => [1, 2, 3].map((at) => entry(from + at, "author", { parent }));
  const { items } = waterfall(unit(20, [entry(0, "book"), ...loop(0, 0), entry(4, "book"), ...loop(4, 4)]));
  assert.deepEqual(names(items), ["s0", "group g1", "s4", "group g5"]);
});

test("a loop inside a loop is one group", () => {
  const timeline = [entry(0, "order")];
  for (let row = 0; row < 3; row += 1) {
    const item = timeline.length;
    timeline.push(entry(item, "item", { parent: 0 }), entry(item + 1, "book", { parent: item }));
  }
  const { items } = waterfall(unit(10, timeline));
  assert.deepEqual(names(items), ["s0", "group g1", "group g2"]);
  assert.deepEqual(items.map(({ depth }) => depth), [0, 1, 2]);
});

test("a walk, in which each row names the next, is one group", () => {
  const walk = [0, 1, 2, 3].map((at) => entry(at, "category", { parent: at ? at - 1 : null }));
  assert.deepEqual(names(waterfall(unit(4, walk)).items), ["group g0"]);
});

test("a parent that does not come before its child is none", () => {
  const { statements } = waterfall(unit(4, [entry(0, "a", { parent: 0 }), entry(1, "b", { parent: 7 })]));
  assert.deepEqual(statements.map(({ parent }) => parent), [null, null]);
});

test("a group has the ends, the sum and the median of its members", () => {
  const group = waterfall(unit(40, [
    entry(2, "author", { databaseMs: 30, rows: 2 }),
    entry(5, "author", { databaseMs: 1, transferMs: 0.5 }),
    entry(20, "author", { databaseMs: 2, sqlstate: "57014" }),
  ])).items.at(-1);
  assert.equal(group.startMs, 2);
  assert.equal(group.endMs, 32, "the member that ended last was not the last to start");
  assert.equal(group.durationMs, 30);
  assert.equal(group.sumMs, 33.5);
  assert.equal(group.eachMs, 2);
  assert.equal(group.rows, 4);
  assert.equal(group.errors, 1);
});

test("gaps are drawn from 2 ms or 1 % of the unit on", () => {
  const gapsOf = (durationMs, gapMs) =>
    waterfall(unit(durationMs, [entry(0, "a"), entry(1 + gapMs, "b")])).gaps.length;
  assert.equal(gapsOf(1000, 1.9), 0);
  assert.equal(gapsOf(1000, 2), 1);
  assert.equal(gapsOf(100, 0.9), 0);
  assert.equal(gapsOf(100, 1.1), 1, "1 % of 100 ms");
});

test("a gap lies where no statement runs", () => {
  const { gaps } = waterfall(unit(40, [entry(5, "a", { databaseMs: 20 }), entry(6, "b"), entry(35, "c", { databaseMs: 5 })]));
  assert.deepEqual(gaps.map(({ startMs, endMs }) => [startMs, endMs]), [[0, 5], [25, 35]]);
});

test("no gap is lost: those between members of a group are inside it, the one before it is not", () => {
  const { items, gaps } = waterfall(unit(100, [
    entry(0, "book", { databaseMs: 5 }),
    entry(15, "author", { parent: 0 }),
    entry(20, "author", { parent: 0 }),
    entry(30, "author", { parent: 0 }),
    entry(60, "save"),
  ]));
  assert.deepEqual(names(items), ["s0", "a1", "group g1", "a4", "s4"]);
  assert.deepEqual(names(items[2].children), ["s1", "a2", "s2", "a3", "s3"]);
  assert.deepEqual(gaps.map(({ durationMs }) => durationMs), [10, 4, 9, 29]);
});

test("without groups each statement is a row", () => {
  const timeline = [0, 1, 2, 3].map((at) => entry(at, "author"));
  assert.deepEqual(names(waterfall(unit(4, timeline), { grouped: false }).items), ["s0", "s1", "s2", "s3"]);
});

test("expanding shows the members with their level and place", () => {
  const fall = waterfall(unit(3, [0, 1, 2].map((at) => entry(at, "author"))));
  const closed = shownRows(fall, nothingOpen).rows;
  assert.deepEqual(closed.map(({ expanded }) => expanded), [false]);

  const { rows } = shownRows(fall, { expanded: new Set(["g0"]) });
  assert.deepEqual(rows.map(({ item, level, position, siblings }) => [item.id, level, position, siblings]), [
    ["g0", 1, 1, 1], ["s0", 2, 1, 3], ["s1", 2, 2, 3], ["s2", 2, 3, 3],
  ]);
  assert.deepEqual(rows.map(({ expanded }) => expanded), [true, null, null, null]);
  assert.equal(rowOf(rows, 2), "s2");
  assert.equal(rowOf(closed, 2), "g0", "a closed group shows its members");
});

test("rows of one transaction are joined by a rail, the pauses between them too", () => {
  const inside = (at, shape, transaction) => entry(at, shape, { transaction });
  const { rows } = shownRows(
    waterfall(unit(100, [
      entry(0, "session"),
      inside(10, "book", 0),
      ...[20, 22, 24].map((at) => inside(at, "author", 0)),
      inside(40, "log", 1),
      entry(60, "session"),
    ])),
    nothingOpen,
  );
  assert.deepEqual(rows.map(({ item, rail }) => `${item.id} ${rail}`), [
    "s0 null", "a1 null", "s1 first", "a2 inside", "g2 last", "a5 null", "s5 only", "a6 null", "s6 null",
  ]);
});

test("only what took 1 % stays, and errors", () => {
  const fall = waterfall(unit(1000, [
    entry(0, "slow", { databaseMs: 10 }),
    entry(11, "quick"),
    entry(13, "failed", { sqlstate: "23505" }),
    ...[0, 1, 2, 3, 4, 5].map((at) => entry(15 + at * 2, "many", { databaseMs: 2 })),
  ]));
  const { rows, hidden } = shownRows(fall, { ...nothingOpen, onlyLarge: true });
  assert.deepEqual(rows.map(({ item }) => item.id), ["s0", "s2", "g3"], "a group counts with its sum");
  assert.equal(hidden, 1);
});

test("2,000 statements are arranged within 50 ms", () => {
  const timeline = Array.from({ length: 2000 }, (_, at) => entry(at * 2, `shape ${at % 40}`, { parent: at > 40 ? at % 40 : null }));
  waterfall(unit(4000, timeline));
  const started = performance.now();
  shownRows(waterfall(unit(4000, timeline)), nothingOpen);
  assert.ok(performance.now() - started < 50);
});
