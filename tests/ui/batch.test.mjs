import assert from "node:assert/strict";
import test from "node:test";
import { BATCH_MS, createBatcher, ITEMS_A_SECOND } from "../../ui/lib/batch.js";
import { retryAfter } from "../../ui/lib/schedule.js";

test("at most 50 queries a second are passed on, and all are counted", (context) => {
  context.mock.timers.enable({ apis: ["setTimeout", "Date"] });
  const batches = [];
  const batcher = createBatcher((batch) => batches.push(batch));
  for (let tick = 0; tick < 20; tick += 1) {
    for (let query = 0; query < 30; query += 1) batcher.add({ missed: query === 0 ? 5 : 0 });
    context.mock.timers.tick(BATCH_MS);
  }
  const passed = batches.reduce((sum, { items }) => sum + items.length, 0);
  assert.equal(passed, (ITEMS_A_SECOND * 20 * BATCH_MS) / 1_000);
  assert.equal(batches.reduce((sum, { seen }) => sum + seen, 0), 20 * 35);
});

test("nothing is passed on after the stop", (context) => {
  context.mock.timers.enable({ apis: ["setTimeout", "Date"] });
  const batches = [];
  const batcher = createBatcher((batch) => batches.push(batch));
  batcher.add({});
  batcher.stop();
  context.mock.timers.tick(10 * BATCH_MS);
  assert.deepEqual(batches, []);
});

test("attempts come after 1, 2, 5 and 10 seconds, then every 10", () => {
  assert.deepEqual([1, 2, 3, 4, 5, 50].map(retryAfter), [1_000, 2_000, 5_000, 10_000, 10_000, 10_000]);
});
