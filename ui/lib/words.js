/** Figures and times as people read them: a number always with its unit. */

const THIN = "\u202f";
const NARROW = "\u00a0";

/** Three significant digits, without an exponent: figures of a column end at the same place. */
function digits3(value) {
  return value >= 99.95 ? group(Math.round(value)) : value.toPrecision(3);
}

function group(whole) {
  return String(whole).replace(/\B(?=(\d{3})+$)/g, THIN);
}

const known = (value) => typeof value === "number" && Number.isFinite(value);

/**
 * A duration: µs under 0.1 ms, ms under 1 s, then s, then min.
 * @param {number | null | undefined} value milliseconds
 * @returns {string}
 */
export function ms(value) {
  if (!known(value)) return "–";
  if (value === 0) return `0${NARROW}ms`;
  if (value < 0.0995) return `${digits3(value * 1000)}${NARROW}µs`;
  if (value < 999.5) return `${digits3(value)}${NARROW}ms`;
  const seconds = value / 1000;
  if (seconds < 599.5) return `${digits3(seconds)}${NARROW}s`;
  const minutes = seconds / 60;
  if (minutes < 599.5) return `${digits3(minutes)}${NARROW}min`;
  return `${digits3(minutes / 60)}${NARROW}h`;
}

/**
 * What something costs a request: never rounded up to a millisecond.
 * @param {number} value milliseconds
 */
export function cost(value) {
  return known(value) && value < 1 ? `<1${NARROW}ms` : ms(value);
}

/**
 * The exact value, for `title`.
 * @param {number} value milliseconds
 */
export function exactMs(value) {
  return known(value) ? `${value.toFixed(3)} ms` : "";
}

/**
 * A whole number with thin separators.
 * @param {number | null | undefined} value
 */
export function count(value) {
  return known(value) ? group(Math.round(value)) : "–";
}

/**
 * A rate or a mean: three significant digits, and whole where it is whole.
 * @param {number | null | undefined} value
 */
export function figure(value) {
  if (!known(value)) return "–";
  return Number.isInteger(value) ? count(value) : digits3(value);
}

/**
 * `1 query`, `2 queries`.
 * @param {number} number
 * @param {string} one
 * @param {string} [many]
 */
export function plural(number, one, many = `${one}s`) {
  return `${count(number)}${NARROW}${number === 1 ? one : many}`;
}

/**
 * A size: B, KB, MB, GB in steps of 1,000.
 * @param {number | null | undefined} value bytes
 */
export function bytes(value) {
  if (!known(value)) return "–";
  for (const [size, unit] of [[1e9, "GB"], [1e6, "MB"], [1e3, "KB"]]) {
    if (value >= size * 0.9995) return `${digits3(value / size)}${NARROW}${unit}`;
  }
  return `${count(value)}${NARROW}B`;
}

/**
 * A part of a whole. Something is never `0 %`, and not everything is never `100 %`.
 * @param {number} part
 * @param {number} whole
 */
export function percent(part, whole) {
  if (!known(part) || !known(whole) || whole <= 0) return "–";
  const share = (100 * part) / whole;
  if (part > 0 && share < 1) return `<1${NARROW}%`;
  if (part < whole && share > 99) return `>99${NARROW}%`;
  return `${Math.round(share)}${NARROW}%`;
}

const two = (number) => String(number).padStart(2, "0");

/**
 * Local time of day, `14:03:51`.
 * @param {string | number | Date | null | undefined} moment
 */
export function clock(moment) {
  const date = toDate(moment);
  return date ? `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}` : "–";
}

/** Local time of day without seconds, `14:03`. @param {string | number | Date} moment */
export function clockMinutes(moment) {
  return toDate(moment) ? clock(moment).slice(0, 5) : "–";
}

/** Date, time and zone, for `title`. @param {string | number | Date} moment */
export function exactTime(moment) {
  const date = toDate(moment);
  if (!date) return "";
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${clock(date)} (${zone}), ${date.toISOString()}`;
}

function toDate(moment) {
  if (moment === null || moment === undefined) return null;
  const date = moment instanceof Date ? moment : new Date(moment);
  return Number.isNaN(date.getTime()) ? null : date;
}

/**
 * How long ago, in the largest whole unit.
 * @param {string | number | Date} moment
 * @param {number} [now] milliseconds since 1970
 */
export function ago(moment, now = Date.now()) {
  const date = toDate(moment);
  return date ? `${lasting(now - date.getTime())} ago` : "–";
}

/**
 * How long a state has lasted: `12 s`, `4 min`, `3 h`, `2 d`.
 * @param {number} elapsed milliseconds
 */
export function lasting(elapsed) {
  const seconds = Math.max(0, Math.floor(elapsed / 1000));
  for (const [size, unit] of [[86_400, "d"], [3_600, "h"], [60, "min"]]) {
    if (seconds >= size) return `${Math.floor(seconds / size)}${NARROW}${unit}`;
  }
  return `${seconds}${NARROW}s`;
}

/**
 * What a unit is called: with a route it is a request.
 * @param {{ route?: string | null, evidence?: string }} unit
 */
export function unitWord(unit) {
  return unit.route ? "request" : "unit";
}

/** Names of finding kinds. @type {Record<string, string>} */
export const KINDS = {
  n_plus_one_forward: "N+1, foreign key",
  n_plus_one_reverse: "N+1, reverse foreign key",
  n_plus_one_many_to_many: "N+1, many-to-many",
  n_plus_one_deferred: "N+1, deferred field",
  n_plus_one_aggregate: "N+1, aggregate",
  query_loop: "query loop",
  write_loop: "write loop",
  duplicate: "duplicate",
  chatty_unit: "many queries",
};

/** Words for what holds a unit together. @type {Record<string, string>} */
export const EVIDENCE = {
  trace: "tag (trace)",
  connection: "connection",
  health_check: "health check",
  pool_check: "pool check",
  transaction: "transaction",
  session_lookup: "session lookup",
  pause: "pause",
};
