import assert from "node:assert/strict";
import { test } from "node:test";

import { barOf, dragged, drawnPhases, idleOf, panned, phasesOf, scaleOf, ticksOf, zoomed } from "../../ui/lib/waterfall-scale.js";

const gap = (startMs, endMs) => ({ startMs, endMs, durationMs: endMs - startMs });
const near = (actual, expected) => assert.ok(Math.abs(actual - expected) < 1e-6, `${actual} is not ${expected}`);

test("idle is what lasts over five times the rest", () => {
  assert.deepEqual(idleOf([gap(10, 69)], 69), [gap(10, 69)]);
  assert.deepEqual(idleOf([gap(10, 60)], 60), [], "five times is not over five times");
  assert.deepEqual(idleOf([], 100), []);
});

test("several long pauses are folded together, in order of time", () => {
  const pauses = [gap(1, 1001), gap(1002, 3002), gap(3003, 3503)];
  assert.deepEqual(idleOf(pauses, 3504), pauses.slice(0, 2), "two of them are over five times the rest");
});

test("a thousand small gaps are no idle time", () => {
  const gaps = Array.from({ length: 1000 }, (_, at) => gap(at, at + 0.95));
  assert.deepEqual(idleOf(gaps, 1000), []);
});

test("the axis is linear, and back again", () => {
  const scale = scaleOf({ fromMs: 0, toMs: 200, widthPx: 800 });
  near(scale.x(50), 200);
  near(scale.ms(200), 50);
  near(scale.x(-10), -40);
});

test("a fold is narrow; everything else keeps one scale", () => {
  const scale = scaleOf({ fromMs: 0, toMs: 1100, widthPx: 1060, folds: [gap(50, 1050)] });
  near(scale.x(0), 0);
  near(scale.x(1100), 1060);
  near(scale.x(50) - scale.x(0), scale.x(1100) - scale.x(1050));
  near(scale.x(1050) - scale.x(50), 60);
  for (const ms of [0, 20, 50, 400, 1050, 1075, 1100]) near(scale.ms(scale.x(ms)), ms);
});

test("a view of nothing but a fold is not folded", () => {
  const scale = scaleOf({ fromMs: 200, toMs: 300, widthPx: 100, folds: [gap(50, 1050)] });
  assert.deepEqual(scale.folds, []);
  near(scale.x(250), 50);
});

test("bars are true to scale and never narrower than 2 px", () => {
  const scale = scaleOf({ fromMs: 0, toMs: 1000, widthPx: 1000 });
  assert.deepEqual(barOf(scale, { startMs: 100, endMs: 350 }), { x: 100, width: 250 });
  assert.deepEqual(barOf(scale, { startMs: 100, endMs: 100.1 }), { x: 100, width: 2 });
});

test("the parts of a bar are database, transfer, client", () => {
  const parts = phasesOf({ startMs: 10, phases: { database_ms: 5, transfer_ms: 0, client_ms: 2 } });
  assert.deepEqual(parts, [
    { phase: "database", startMs: 10, endMs: 15 },
    { phase: "client", startMs: 15, endMs: 17 },
  ]);
});

test("a bar too narrow for parts is all of its longest phase, and never without one", () => {
  const phases = { database_ms: 1, transfer_ms: 4, client_ms: 0 };
  const statement = { startMs: 10, endMs: 15, phases };
  assert.deepEqual(drawnPhases(statement, 3), [{ phase: "transfer", startMs: 10, endMs: 15 }]);
  assert.equal(drawnPhases(statement, 50).length, 2);
  const instant = { startMs: 10, endMs: 10, phases: { database_ms: 0, transfer_ms: 0, client_ms: 0 } };
  assert.deepEqual(drawnPhases(instant, 2), [{ phase: "database", startMs: 10, endMs: 10 }]);
});

test("labels are round times with room between them", () => {
  const scale = scaleOf({ fromMs: 0, toMs: 412, widthPx: 900 });
  assert.deepEqual(ticksOf(scale).map(({ ms }) => ms), [0, 50, 100, 150, 200, 250, 300, 350, 400]);
  const narrow = ticksOf(scaleOf({ fromMs: 0, toMs: 412, widthPx: 200 }));
  assert.ok(narrow.every(({ x }, at) => at === 0 || x - narrow[at - 1].x >= 60));
});

test("no label stands inside a fold", () => {
  const scale = scaleOf({ fromMs: 0, toMs: 5100, widthPx: 600, folds: [gap(50, 5050)] });
  const times = ticksOf(scale).map(({ ms }) => ms);
  assert.ok(times.length >= 3);
  assert.ok(times.every((ms) => ms <= 50 || ms >= 5050), times.join(" "));
});

test("a zoom keeps the time under the pointer, and stays inside the unit", () => {
  const closer = zoomed({ fromMs: 0, toMs: 100 }, 0.5, 100, 25);
  assert.deepEqual(closer, { fromMs: 12.5, toMs: 62.5 });
  assert.deepEqual(zoomed(closer, 10, 100), { fromMs: 0, toMs: 100 });
  const least = zoomed({ fromMs: 40, toMs: 40.06 }, 0.01, 100);
  near(least.toMs - least.fromMs, 0.05);
});

test("a pan stops at the ends", () => {
  assert.deepEqual(panned({ fromMs: 20, toMs: 40 }, 0.5, 100), { fromMs: 30, toMs: 50 });
  assert.deepEqual(panned({ fromMs: 20, toMs: 40 }, -9, 100), { fromMs: 0, toMs: 20 });
});

test("a drag works in both directions; a click is none", () => {
  assert.deepEqual(dragged(80, 20, 100), { fromMs: 20, toMs: 80 });
  assert.deepEqual(dragged(-5, 20, 100), { fromMs: 0, toMs: 20 });
  assert.equal(dragged(20, 20.01, 100), null);
});
