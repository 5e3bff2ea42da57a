/**
 * The time axis of a waterfall: what is folded, where a time stands in pixels, which labels the axis has.
 *
 * Pure. Everything that is not folded has the same scale, so that widths can be compared.
 */

/** Idle time is folded when it is longer than this many times the rest. */
const IDLE_TIMES_REST = 5;
/** What a folded gap keeps of the axis, as a share of what is not folded. */
const FOLD_SHARE = 0.06;
/** The narrowest bar that is seen, pixels. */
const BAR_PX_MIN = 2;
/** Two labels of the axis stand at least this far apart, pixels. */
const LABEL_PX_MIN = 84;

/**
 * @typedef {object} Interval
 * @property {number} startMs
 * @property {number} endMs
 */

/**
 * The gaps that dwarf all the rest, in order of time: each is longer than the rest, and together they are over five
 * times as long.
 *
 * @param {(Interval & {durationMs: number})[]} gaps
 * @param {number} unitMs
 * @returns {Interval[]}
 */
export function idleOf(gaps, unitMs) {
  const longest = [...gaps].sort((a, b) => b.durationMs - a.durationMs);
  let idleMs = 0;
  for (const [at, gap] of longest.entries()) {
    idleMs += gap.durationMs;
    const restMs = unitMs - idleMs;
    if (idleMs > IDLE_TIMES_REST * restMs && gap.durationMs > restMs) {
      return longest.slice(0, at + 1).sort((a, b) => a.startMs - b.startMs);
    }
  }
  return [];
}

/**
 * @typedef {object} Scale
 * @property {number} widthPx
 * @property {number} fromMs the left edge
 * @property {number} toMs the right edge
 * @property {Interval[]} folds
 * @property {(ms: number) => number} x where a time stands, pixels; beyond the edges too
 * @property {(x: number) => number} ms the time at a place
 */

/**
 * The axis from `fromMs` to `toMs` on `widthPx` pixels.
 *
 * @param {{fromMs: number, toMs: number, widthPx: number, folds?: Interval[]}} axis
 * @returns {Scale}
 */
export function scaleOf({ fromMs, toMs, widthPx, folds = [] }) {
  const inside = folds
    .map(({ startMs, endMs }) => ({ startMs: Math.max(startMs, fromMs), endMs: Math.min(endMs, toMs) }))
    .filter(({ startMs, endMs }) => endMs > startMs);
  const foldedMs = inside.reduce((sum, { startMs, endMs }) => sum + endMs - startMs, 0);
  const plainMs = Math.max(toMs - fromMs - foldedMs, Number.EPSILON);
  // In a view of nothing but a fold there is no rest to compare with.
  const isOnlyFold = plainMs < (toMs - fromMs) * 1e-6;
  const kept = isOnlyFold ? [] : inside;
  const foldWidth = plainMs * FOLD_SHARE;
  const unitsInAll = isOnlyFold ? toMs - fromMs : plainMs + foldWidth * kept.length;
  const perUnit = widthPx / Math.max(unitsInAll, Number.EPSILON);

  const x = (ms) => {
    let units = ms - fromMs;
    for (const { startMs, endMs } of kept) {
      if (ms <= startMs) break;
      const within = Math.min(ms, endMs) - startMs;
      units += (within / (endMs - startMs)) * foldWidth - within;
    }
    return units * perUnit;
  };
  const ms = (at) => {
    let left = at / perUnit;
    let now = fromMs;
    for (const { startMs, endMs } of kept) {
      if (left <= startMs - now) break;
      left -= startMs - now;
      if (left <= foldWidth) return startMs + (left / foldWidth) * (endMs - startMs);
      left -= foldWidth;
      now = endMs;
    }
    return now + left;
  };
  return { widthPx, fromMs, toMs, folds: kept, x, ms };
}

/**
 * Where a bar is drawn: true to scale, at least 2 px wide.
 *
 * @param {Scale} scale
 * @param {Interval} interval
 * @returns {{x: number, width: number}}
 */
export function barOf(scale, { startMs, endMs }) {
  const x = scale.x(startMs);
  return { x, width: Math.max(scale.x(endMs) - x, BAR_PX_MIN) };
}

/**
 * The parts of a statement's bar, in the order database, transfer, client; those of no time are missing.
 *
 * @param {import("./waterfall.js").Statement} statement
 * @returns {{phase: "database" | "transfer" | "client", startMs: number, endMs: number}[]}
 */
export function phasesOf({ startMs, phases }) {
  const parts = [];
  let atMs = startMs;
  for (const phase of ["database", "transfer", "client"]) {
    const endMs = atMs + phases[`${phase}_ms`];
    if (endMs > atMs) parts.push({ phase, startMs: atMs, endMs });
    atMs = endMs;
  }
  return parts;
}

/** Bars narrower than this have room for one colour, pixels. */
const PARTED_PX_MIN = 6;

/**
 * The parts of a bar as they are drawn: a narrow one is all of the phase that took most.
 *
 * @param {import("./waterfall.js").Statement} statement
 * @param {number} widthPx of the bar
 * @returns {{phase: "database" | "transfer" | "client", startMs: number, endMs: number}[]}
 */
export function drawnPhases(statement, widthPx) {
  const parts = phasesOf(statement);
  if (widthPx >= PARTED_PX_MIN && parts.length > 0) return parts;
  const { startMs, endMs } = statement;
  const longest = parts.reduce((most, part) => (part.endMs - part.startMs > most.endMs - most.startMs ? part : most), {
    phase: "database",
    startMs,
    endMs: startMs,
  });
  return [{ phase: longest.phase, startMs, endMs }];
}

/**
 * The labels of the axis: round times outside of folds, and the first and last when there is room for no more.
 *
 * @param {Scale} scale
 * @returns {{ms: number, x: number}[]}
 */
export function ticksOf(scale) {
  const { fromMs, toMs, widthPx } = scale;
  const foldedPx = scale.folds.reduce(
    (sum, { startMs, endMs }) => sum + scale.x(endMs) - scale.x(startMs),
    0,
  );
  const foldedMs = scale.folds.reduce((sum, { startMs, endMs }) => sum + endMs - startMs, 0);
  const room = Math.max(Math.floor((widthPx - foldedPx) / LABEL_PX_MIN), 1);
  const step = roundStep((toMs - fromMs - foldedMs) / room);
  const ticks = [];
  for (const piece of plainPieces(scale)) {
    const first = Math.max(Math.ceil(piece.startMs / step - 1e-9), 0);
    const last = Math.floor(piece.endMs / step + 1e-9);
    for (let at = first; at <= last; at += 1) {
      const ms = at * step;
      const x = scale.x(ms);
      const before = ticks.at(-1);
      if (!before || x - before.x >= LABEL_PX_MIN * 0.75) ticks.push({ ms, x });
    }
  }
  return ticks;
}

/** What lies between the folds. */
function plainPieces({ fromMs, toMs, folds }) {
  const pieces = [];
  let startMs = fromMs;
  for (const fold of folds) {
    pieces.push({ startMs, endMs: fold.startMs });
    startMs = fold.endMs;
  }
  pieces.push({ startMs, endMs: toMs });
  return pieces.filter((piece) => piece.endMs > piece.startMs);
}

/** The next of 1, 2, 5, 10, … times a power of ten. */
function roundStep(least) {
  if (!(least > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(least));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= least * (1 - 1e-9));
}

/** The least that can be zoomed into, milliseconds. */
const ZOOM_MS_MIN = 0.05;

/**
 * A view after a zoom by `factor` about its middle (or `aboutMs`), inside the unit.
 *
 * @param {{fromMs: number, toMs: number}} view
 * @param {number} factor under 1 shows less
 * @param {number} unitMs
 * @param {number} [aboutMs]
 */
export function zoomed({ fromMs, toMs }, factor, unitMs, aboutMs = (fromMs + toMs) / 2) {
  const spanMs = Math.min(Math.max((toMs - fromMs) * factor, ZOOM_MS_MIN), unitMs);
  const share = (aboutMs - fromMs) / (toMs - fromMs);
  return placed(aboutMs - share * spanMs, spanMs, unitMs);
}

/** A view moved by `share` of its width, inside the unit. */
export function panned({ fromMs, toMs }, share, unitMs) {
  const spanMs = toMs - fromMs;
  return placed(fromMs + share * spanMs, spanMs, unitMs);
}

/** A view over what was dragged, in either direction; null if that is too little to mean it. */
export function dragged(oneMs, otherMs, unitMs) {
  const fromMs = Math.max(Math.min(oneMs, otherMs), 0);
  const toMs = Math.min(Math.max(oneMs, otherMs), unitMs);
  return toMs - fromMs < Math.max(ZOOM_MS_MIN, unitMs * 0.002) ? null : { fromMs, toMs };
}

function placed(fromMs, spanMs, unitMs) {
  const start = Math.min(Math.max(fromMs, 0), Math.max(unitMs - spanMs, 0));
  return { fromMs: start, toMs: Math.min(start + spanMs, unitMs) };
}
