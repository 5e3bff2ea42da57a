import assert from "node:assert/strict";
import test from "node:test";
import { BOUNDS_MS, bandInWords, bandPosition, heatStep, lastMinutes, quantile, STEPS, sumColumns } from "../../ui/lib/heat.js";

const buckets = (counts) => BOUNDS_MS.map((_, band) => counts[band] ?? 0);

test("one query is always visible, none never, and the most has the last step", () => {
  assert.equal(heatStep(0, 1_000), 0);
  assert.equal(heatStep(1, 1), 1);
  assert.equal(heatStep(1, 1_000_000), 1);
  assert.equal(heatStep(1_000, 1_000), STEPS);
  for (let count = 2, before = 1; count <= 1_000; count += 1) {
    const step = heatStep(count, 1_000);
    assert.ok(step >= before && step <= STEPS);
    before = step;
  }
});

test("quantiles are interpolated inside their band", () => {
  assert.equal(quantile(buckets({}), 0.5), null);
  assert.equal(quantile(buckets({ 3: 100 }), 0.5), 0.75);
  assert.equal(quantile(buckets({ 0: 95, 6: 5 }), 0.95), 0.1);
  assert.equal(quantile(buckets({ 17: 3 }), 0.95), 30_000);
});

test("bands are equally high", () => {
  assert.equal(bandPosition(0), 0);
  assert.equal(bandPosition(0.1), 1);
  assert.equal(bandPosition(1), 4);
  assert.equal(bandPosition(60_000), 17.5);
  for (const [band, bound] of BOUNDS_MS.slice(0, -1).entries()) assert.ok(Math.abs(bandPosition(bound) - band - 1) < 1e-9);
});

test("bands in words", () => {
  assert.equal(bandInWords(1), "0.1\u00a0ms to 0.25\u00a0ms");
  assert.equal(bandInWords(17), "over 30\u00a0s");
});

test("the last minutes end with the last column", () => {
  const history = [0, 5, 600].map((second) => ({ at: new Date(second * 1000).toISOString(), calls: 1, errors: 0, phases: {}, buckets: [] }));
  const time = lastMinutes(history, 10);
  assert.deepEqual([time.start, time.end], [5, 605]);
  assert.deepEqual(time.columns.map(({ x }) => x), [5, 600]);
});

test("columns are summed", () => {
  const phases = { database_ms: 1, transfer_ms: 2, client_ms: 3, application_ms: 4 };
  const sums = sumColumns([1, 2].map((calls) => ({ calls, errors: 1, phases, buckets: buckets({ 2: calls }) })));
  assert.equal(sums.calls, 3);
  assert.equal(sums.errors, 2);
  assert.equal(sums.buckets[2], 3);
  assert.deepEqual(sums.phases, { database_ms: 2, transfer_ms: 4, client_ms: 6, application_ms: 8 });
});
