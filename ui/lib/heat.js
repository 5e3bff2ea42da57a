/** The grid of a latency heat map: columns of five seconds, rows of the metric's bounds. */

/** Upper bounds of the bands, milliseconds, as in `pgprism_query_duration_seconds`; the last band has none. */
export const BOUNDS_MS = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, Infinity];
export const COLUMN_S = 5;
/** Steps of colour; 0 is an empty cell. */
export const STEPS = 6;

/** Lower bound of a band, milliseconds. @param {number} band */
export const lowerBound = (band) => (band === 0 ? 0 : BOUNDS_MS[band - 1]);

/**
 * A bound in words, exact: `0.25 ms`, `1 s`.
 * @param {number} bound milliseconds
 */
export const boundInWords = (bound) => (bound < 1_000 ? `${bound}\u00a0ms` : `${bound / 1_000}\u00a0s`);

/**
 * What a band holds, in words.
 * @param {number} band
 */
export function bandInWords(band) {
  if (BOUNDS_MS[band] === Infinity) return `over ${boundInWords(lowerBound(band))}`;
  return `${boundInWords(lowerBound(band))} to ${boundInWords(BOUNDS_MS[band])}`;
}

/**
 * The colour step of a count: even steps of its logarithm, and a single query is visible.
 * @param {number} count
 * @param {number} most the greatest count of the grid
 * @returns {number} 0 for none, else 1 to 6
 */
export function heatStep(count, most) {
  if (count <= 0) return 0;
  if (most <= 1 || count <= 1) return 1;
  return Math.min(STEPS, 1 + Math.floor((STEPS * Math.log(count)) / Math.log(most + 1)));
}

/**
 * A quantile of a column, interpolated inside its band.
 * @param {number[]} buckets counts by band, not cumulative
 * @param {number} q 0 to 1
 * @returns {number | null} milliseconds; null without queries
 */
export function quantile(buckets, q) {
  const total = buckets.reduce((sum, count) => sum + count, 0);
  if (total === 0) return null;
  let left = q * total;
  for (const [band, count] of buckets.entries()) {
    if (count > 0 && left <= count) {
      const low = lowerBound(band);
      const high = BOUNDS_MS[band] === Infinity ? low : BOUNDS_MS[band];
      return low + ((high - low) * left) / count;
    }
    left -= count;
  }
  return lowerBound(buckets.length - 1);
}

/**
 * Where a duration stands on an axis on which all bands are equally high.
 * @param {number} ms
 * @returns {number} in bands from the bottom
 */
export function bandPosition(ms) {
  const band = BOUNDS_MS.findIndex((bound) => ms <= bound);
  const low = lowerBound(band);
  const high = BOUNDS_MS[band];
  if (high === Infinity) return band + 0.5;
  if (low === 0) return band + ms / high;
  return band + Math.log(ms / low) / Math.log(high / low);
}

/**
 * The columns of the last `minutes`, and where the axis of time begins and ends.
 * @param {{ at: string, calls: number, errors: number, phases: Record<string, number>, buckets: number[] }[]} history
 * @param {number} minutes
 */
export function lastMinutes(history, minutes) {
  const columns = history.map((column) => ({ ...column, x: Date.parse(column.at) / 1000 }));
  const end = (columns.length ? columns[columns.length - 1].x : Date.now() / 1000) + COLUMN_S;
  const start = end - minutes * 60;
  return { start, end, columns: columns.filter(({ x }) => x >= start) };
}

/**
 * All columns together.
 * @param {{ calls: number, errors: number, phases: Record<string, number>, buckets: number[] }[]} columns
 */
export function sumColumns(columns) {
  const phases = { database_ms: 0, transfer_ms: 0, client_ms: 0, application_ms: 0 };
  const buckets = BOUNDS_MS.map(() => 0);
  let calls = 0;
  let errors = 0;
  for (const column of columns) {
    calls += column.calls;
    errors += column.errors;
    for (const name of Object.keys(phases)) phases[name] += column.phases[name];
    column.buckets.forEach((count, band) => (buckets[band] += count));
  }
  return { calls, errors, phases, buckets };
}
