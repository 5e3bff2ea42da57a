import assert from "node:assert/strict";
import { test } from "node:test";

import { moveOf } from "../../ui/lib/waterfall-keys.js";
import { INITIAL, paramsOf, stateOf } from "../../ui/lib/waterfall-state.js";
import { shownRows, waterfall } from "../../ui/lib/waterfall.js";

const phases = { database_ms: 1, transfer_ms: 0, client_ms: 0, application_ms: 0 };
const entry = (at, fingerprint, parent = null) => ({ at_ms: at, fingerprint, query: "", phases, rows: 1, sqlstate: null, parent_index: parent });
const fall = waterfall({ duration_ms: 6, timeline: [entry(0, "book"), entry(1, "author", 0), entry(2, "author", 0), entry(3, "author", 0), entry(4, "save")] });

function press(key, at, { open = [], shiftKey = false } = {}) {
  const { rows } = shownRows(fall, { expanded: new Set(open) });
  return moveOf({ key, shiftKey }, {
    rows,
    at,
    open,
    groups: ["g1"],
    view: { fromMs: 0, toMs: 6 },
    unitMs: 6,
    parentOf: ({ item }) => (item.id === "g1" ? "s0" : null),
    hasFinding: ({ item }) => item.id === "g1",
  });
}

test("up and down move by a row and stop at the ends", () => {
  assert.deepEqual(press("ArrowDown", 0), { focus: "g1" });
  assert.deepEqual(press("ArrowUp", 0), { focus: "s0" });
  assert.deepEqual(press("End", 0), { focus: "s4" });
  assert.deepEqual(press("ArrowDown", 2), { focus: "s4" });
});

test("right opens a group, then goes into it", () => {
  assert.deepEqual(press("ArrowRight", 1), { change: { open: ["g1"] } });
  assert.deepEqual(press("ArrowRight", 1, { open: ["g1"] }), { focus: "s1" });
  assert.deepEqual(press("ArrowRight", 0), {});
});

test("left closes a group, goes from a member to it, and from it to its parent", () => {
  assert.deepEqual(press("ArrowLeft", 1, { open: ["g1"] }), { change: { open: [] } });
  assert.deepEqual(press("ArrowLeft", 2, { open: ["g1"] }), { focus: "g1" });
  assert.deepEqual(press("ArrowLeft", 1), { focus: "s0" });
});

test("keys open the panel, all groups, none, and find the next finding", () => {
  assert.deepEqual(press("Enter", 0), { change: { selected: "s0" } });
  assert.deepEqual(press("e", 0), { change: { open: ["g1"] } });
  assert.deepEqual(press("E", 0, { open: ["g1"], shiftKey: true }), { change: { open: [] } });
  assert.deepEqual(press("n", 2), { focus: "g1" });
});

test("plus, minus and zero zoom; shift and arrows pan", () => {
  assert.deepEqual(press("+", 0), { change: { view: { fromMs: 1.5, toMs: 4.5 } } });
  assert.deepEqual(press("+", 0, { shiftKey: true }), { change: { view: { fromMs: 1.5, toMs: 4.5 } } });
  assert.deepEqual(press("0", 0), { change: { view: null } });
  assert.deepEqual(press("ArrowRight", 0, { shiftKey: true }), { change: { view: { fromMs: 0, toMs: 6 } } });
  assert.equal(press("x", 0), null);
});

test("the state survives the query string", () => {
  const state = { grouped: true, folded: false, onlyLarge: true, open: ["g1", "g40"], selected: "s3", view: { fromMs: 12.5, toMs: 80 } };
  const written = Object.fromEntries(Object.entries(paramsOf(state)).filter(([, value]) => value !== null));
  assert.deepEqual(stateOf(written), state);
  assert.deepEqual(stateOf({}), INITIAL);
  assert.deepEqual(Object.values(paramsOf(INITIAL)).filter((value) => value !== null), []);
});

test("a zoom that cannot be read shows all", () => {
  for (const zoom of ["", "x-y", "5-2", "-1-4"]) assert.equal(stateOf({ zoom }).view, null);
});
