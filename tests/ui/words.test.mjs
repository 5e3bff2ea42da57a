import assert from "node:assert/strict";
import test from "node:test";
import { ago, bytes, clock, cost, count, figure, lasting, ms, percent, plural } from "../../ui/lib/words.js";

const plain = (text) => text.replaceAll("\u00a0", " ").replaceAll("\u202f", " ");

test("durations have three significant digits and change their unit", () => {
  const cases = [
    [0, "0 ms"], [0.0123, "12.3 µs"], [0.0994, "99.4 µs"], [0.1, "0.100 ms"], [1.234, "1.23 ms"], [74.96, "75.0 ms"],
    [99.96, "100 ms"], [999.4, "999 ms"], [999.6, "1.00 s"], [57_000, "57.0 s"], [599_000, "599 s"], [600_000, "10.0 min"], [7_200_000, "120 min"], [36_000_000, "10.0 h"],
  ];
  for (const [value, expected] of cases) assert.equal(plain(ms(value)), expected, String(value));
});

test("what is not a number is a dash", () => {
  for (const format of [ms, count, bytes, figure, clock]) {
    assert.equal(format(null), "–");
    assert.equal(format(undefined), "–");
  }
  assert.equal(ms(Number.NaN), "–");
  assert.equal(clock("yesterday"), "–");
});

test("a cost under a millisecond is never rounded up", () => {
  assert.equal(plain(cost(0.99)), "<1 ms");
  assert.equal(plain(cost(1)), "1.00 ms");
});

test("counts have thin separators, and a unit in the right number", () => {
  assert.equal(plain(count(1_234_567)), "1 234 567");
  assert.equal(plain(plural(1, "query", "queries")), "1 query");
  assert.equal(plain(plural(2, "query", "queries")), "2 queries");
  assert.equal(plain(plural(0, "shape")), "0 shapes");
});

test("figures are whole where they are whole", () => {
  assert.equal(figure(25), "25");
  assert.equal(figure(9.994), "9.99");
});

test("shares never say that something is nothing, or that not everything is all", () => {
  const cases = [[0, 10, "0 %"], [1, 1_000, "<1 %"], [1, 2, "50 %"], [999, 1_000, ">99 %"], [10, 10, "100 %"], [1, 0, "–"]];
  for (const [part, whole, expected] of cases) assert.equal(plain(percent(part, whole)), expected, `${part}/${whole}`);
});

test("sizes", () => {
  const cases = [[0, "0 B"], [999, "999 B"], [1_000, "1.00 KB"], [40_500_000, "40.5 MB"], [2.5e9, "2.50 GB"]];
  for (const [value, expected] of cases) assert.equal(plain(bytes(value)), expected);
});

test("how long something lasts is in whole units", () => {
  const cases = [[-5, "0 s"], [59_999, "59 s"], [60_000, "1 min"], [3_600_000, "1 h"], [172_800_000, "2 d"]];
  for (const [elapsed, expected] of cases) assert.equal(plain(lasting(elapsed)), expected);
  assert.equal(plain(ago("2026-01-01T00:00:00Z", Date.parse("2026-01-01T00:00:12Z"))), "12 s ago");
});
