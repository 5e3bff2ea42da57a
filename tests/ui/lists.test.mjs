import assert from "node:assert/strict";
import test from "node:test";
import { appendPage, mergeInPlace } from "../../ui/lib/merge.js";

const id = (item) => item.id;
const items = (...ids) => ids.map((one) => ({ id: one, at: 1 }));

test("fresh figures stand in the old places", () => {
  const fetched = [{ id: "c", at: 2 }, { id: "a", at: 2 }, { id: "b", at: 2 }];
  const merged = mergeInPlace(items("a", "b", "c"), fetched, id);
  assert.deepEqual(merged.items, [{ id: "a", at: 2 }, { id: "b", at: 2 }, { id: "c", at: 2 }]);
  assert.equal(merged.moved, true);
  assert.equal(merged.fresh, 0);
});

test("the same order is no change", () => {
  assert.deepEqual(mergeInPlace(items("a", "b"), items("a", "b"), id), { items: items("a", "b"), fresh: 0, moved: false });
});

test("what is new is counted, not shown; what is gone stays", () => {
  const merged = mergeInPlace(items("a", "b"), items("n", "m", "a"), id);
  assert.deepEqual(merged.items.map(id), ["a", "b"]);
  assert.equal(merged.fresh, 2);
  assert.equal(merged.moved, false);
});

test("a page is added without what is shown already", () => {
  assert.deepEqual(appendPage(items("a", "b"), items("b", "c"), id).map(id), ["a", "b", "c"]);
});
