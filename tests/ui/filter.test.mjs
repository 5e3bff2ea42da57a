import assert from "node:assert/strict";
import test from "node:test";
import { parseDuration, parseFilter, passes } from "../../ui/lib/filter.js";
import { addBatch, emptyTape, KEPT } from "../../ui/views/live/tape.js";

const EVENT = {
  fingerprint: "9f02c1d4a87b3e51", query: 'SELECT "id" FROM "shop_book" WHERE "id" = $1', summary: "SELECT shop_book",
  operation: "SELECT", database: "shop", user: "web", application: "gunicorn", duration_ms: 12.5, sqlstate: null,
};

function check(filter, expected, event = EVENT) {
  assert.equal(passes(parseFilter(filter), event), expected, filter);
}

test("fields, durations and words all have to fit", () => {
  check("", true);
  check("op:select table:book db:shop user:web app:guni", true);
  check("op:SELECT", true);
  check("op:sel", false);
  check("table:author", false);
  check("d>10ms", true);
  check("d>10ms d<12ms", false);
  check("d>0.01s", true);
  check("shop_book", true);
  check("9f02c1", true);
  check("shop_book author", false);
});

test("errors", () => {
  check("error", false);
  check("error", true, { ...EVENT, sqlstate: "42703" });
  check("42703", true, { ...EVENT, sqlstate: "42703" });
});

test("what a query of the stream does not have matches nothing", () => {
  check("route:books", false);
  check("n>50", false);
  check("d>fast", false);
});

test("quotes hold words together, and an unknown field is text", () => {
  assert.deepEqual(parseFilter('app:"my shop" "order by" x:y'), {
    terms: [{ field: "app", operator: ":", value: "my shop" }], words: ["order by", "x:y"],
  });
});

test("durations with and without units", () => {
  const cases = [["10", 10], ["10ms", 10], ["1.5s", 1_500], ["250us", 0.25], ["250µs", 0.25], ["2min", 120_000]];
  for (const [text, expected] of cases) assert.equal(parseDuration(text), expected, text);
  for (const text of ["", "ms", "x"]) assert.ok(Number.isNaN(parseDuration(text)), text);
});

test("the tape keeps the last 500, newest first, and counts all", () => {
  let tape = emptyTape();
  for (let batch = 0; batch < 60; batch += 1) {
    const items = Array.from({ length: 10 }, (_, index) => ({ ...EVENT, duration_ms: batch * 10 + index }));
    tape = addBatch(tape, { items, seen: 100 }, parseFilter(""));
  }
  assert.equal(tape.items.length, KEPT);
  assert.equal(tape.items[0].duration_ms, 599);
  assert.equal(tape.seen, 6_000);
  assert.equal(tape.passed, 600);
  assert.equal(new Set(tape.items.map(({ key }) => key)).size, KEPT);
});
