/** Small parts that several views draw. */
import { html } from "./preact.js";
import { Link } from "./router.js";
import { useNeighbours } from "./useList.js";
import { count, exactMs, exactTime, clock, ms, percent } from "./words.js";

export { Copy } from "./copy.js";

/** The phases in the order of a bar: what the database does first, what the client does last. */
export const PHASES = [
  { key: "application_ms", name: "application", about: "Python, templates, other services: what happened between two queries" },
  { key: "database_ms", name: "database", about: "from the last byte of a query to the first byte of its reply" },
  { key: "transfer_ms", name: "transfer", about: "the rest of the reply" },
  { key: "client_ms", name: "client", about: "the client took no bytes" },
];

/** Sum of the phases. @param {Record<string, number>} phases */
export const phasesTotal = (phases) => PHASES.reduce((sum, { key }) => sum + (phases[key] ?? 0), 0);

/** "application 59 %, database 38 %". @param {Record<string, number>} phases */
export function phasesInWords(phases) {
  const total = phasesTotal(phases);
  const seen = PHASES.filter(({ key }) => phases[key] > 0);
  return seen.map(({ key, name }) => `${name} ${percent(phases[key], total)}`).join(", ") || "no time";
}

/**
 * One bar cut into phases: application hatched, the others filled.
 * @param {{ phases: Record<string, number>, of?: number, legend?: boolean }} props
 *   `of`: what the whole width stands for, milliseconds; by default the phases' own sum
 */
export function PhaseBar({ phases, of, legend = false }) {
  const whole = of || phasesTotal(phases);
  const parts = PHASES.filter(({ key }) => phases[key] > 0 && whole > 0);
  return html`<div class=${legend ? "phases phases-large" : "phases"}>
    <div class="phase-bar" role="img" aria-label=${phasesInWords(phases)}>
      ${parts.map(
        ({ key, name }) =>
          html`<span key=${key} class=${`phase phase-${name}`} style=${{ width: `${(100 * phases[key]) / whole}%` }}
            title=${`${name} ${ms(phases[key])}`}></span>`,
      )}
    </div>
    ${legend && html`<${PhaseLegend} phases=${phases} />`}
  </div>`;
}

/** What the colours of a phase bar stand for, each with its figure. */
function PhaseLegend({ phases }) {
  const total = phasesTotal(phases);
  return html`<ul class="phase-legend">
    ${PHASES.filter(({ key }) => phases[key] > 0).map(
      ({ key, name, about }) => html`<li key=${key} title=${about}>
        <span class=${`key phase-${name}`} aria-hidden="true"></span>${name}${" "}<b>${percent(phases[key], total)}</b> <span class="muted">${ms(phases[key])}</span>
      </li>`,
    )}
  </ul>`;
}

const CONFIDENCE = { proved: "●", likely: "◐", suspected: "○" };

/** How sure a finding is: form and word. @param {{ level: "proved" | "likely" | "suspected" }} props */
export function Confidence({ level }) {
  return html`<span class=${`confidence confidence-${level}`}><span aria-hidden="true">${CONFIDENCE[level]}</span> ${level}</span>`;
}

const SEVERITY = { high: 3, medium: 2, low: 1 };

/** The server's word, drawn as one to three triangles. @param {{ level: "high" | "medium" | "low" }} props */
export function Severity({ level }) {
  return html`<span class=${`severity severity-${level}`}><span aria-hidden="true">${"▲".repeat(SEVERITY[level] ?? 1)}</span> ${level}</span>`;
}

const SPARK = { width: 60, height: 16 };

/** Sixty numbers as a line without axes; its trend belongs into the row's words. @param {{ values: number[] }} props */
export function Sparkline({ values }) {
  return html`<svg class="spark" width=${SPARK.width} height=${SPARK.height} viewBox=${`0 0 ${SPARK.width} ${SPARK.height}`} aria-hidden="true">
    <path d=${sparkPath(values)} />
  </svg>`;
}

/** The `d` of a sparkline's path. @param {number[]} values */
export function sparkPath(values) {
  if (values.length < 2) return "";
  const top = Math.max(1, ...values);
  const step = SPARK.width / (values.length - 1);
  const y = (value) => SPARK.height - 1 - ((SPARK.height - 2) * value) / top;
  return values.map((value, index) => `${index ? "L" : "M"}${round(index * step)} ${round(y(value))}`).join("");
}

const round = (number) => Math.round(number * 10) / 10;

/** A sparkline in words: its last ten minutes against the ten before. @param {number[]} values */
export function trendInWords(values) {
  const sum = (part) => part.reduce((total, value) => total + value, 0);
  const [now, before] = [sum(values.slice(-10)), sum(values.slice(-20, -10))];
  if (now === before) return "steady";
  if (before === 0) return "new in the last 10 min";
  return now > before ? "rising" : "falling";
}

/** A duration with its exact value in `title`. @param {{ value: number }} props */
export function Duration({ value }) {
  return html`<span class="figure" title=${exactMs(value)}>${ms(value)}</span>`;
}

/** A time of day with date and zone in `title`. @param {{ at: string }} props */
export function Time({ at }) {
  return html`<time datetime=${at} title=${exactTime(at)}>${clock(at)}</time>`;
}

/**
 * What stands where there is nothing to list.
 * @param {{ children: any, action?: { href: string, label: string } }} props
 */
export function Empty({ children, action }) {
  return html`<div class="empty"><p>${children}${action && html`${" "}<${Link} href=${action.href}>${action.label}<//>`}</p></div>`;
}

/** Grey rows for the first load. @param {{ rows?: number }} props */
export function Skeleton({ rows = 6 }) {
  return html`<div class="skeleton" aria-busy="true" aria-label="Loading">
    ${Array.from({ length: rows }, (_, index) => html`<span key=${index}></span>`)}
  </div>`;
}

/**
 * Why there are no fresh figures, and what happens next.
 * @param {{ error: import("./api.js").ApiError | null, staleSince?: number | null, retry: () => void }} props
 */
export function Trouble({ error, staleSince, retry }) {
  if (!error || error.needsLogin) return null;
  if (error.unreachable && staleSince) return null;
  const text = error.unreachable
    ? "pgprism does not answer. Trying again."
    : error.status >= 500
      ? `pgprism answered ${error.status}. Details are in its log.`
      : error.message;
  return html`<div class="trouble" role="alert"><p>${text}</p><button type="button" class="button" onClick=${retry}>Retry</button></div>`;
}

/** A section with its heading. @param {{ title: string, note?: any, children: any, class?: string }} props */
export function Section({ title, note, children, ...rest }) {
  return html`<section ...${rest} class=${`section ${rest.class ?? ""}`}>
    <header class="section-head"><h2>${title}</h2>${note && html`<span class="muted">${note}</span>`}</header>
    ${children}
  </section>`;
}

/**
 * The items before and after this one in the list it was opened from.
 * @param {{ list: string, id: string, base: string, params?: Record<string, any> }} props
 *   `list`: its path in the API, and `params` its filters where the item was opened directly; `base`: where items are opened
 */
export function Neighbours({ list, id, base, params }) {
  const { before, after } = useNeighbours(list, id, (item) => item.id ?? item.fingerprint, params);
  if (!before && !after) return null;
  const step = (to, key, label) =>
    to && html`<${Link} class="button small" data-key=${key} href=${`${base}/${to}`} aria-label=${label}>${label} <kbd>${key}</kbd><//>`;
  return html`<span class="neighbours">${step(before, "[", "Previous")}${step(after, "]", "Next")}</span>`;
}

/**
 * What changed behind a list that keeps its order, in a place that is always reserved.
 * @param {{ list: import("./useList.js").Listed, noun: string, compact?: boolean }} props
 *   `compact`: in fewer words, beside other things
 */
export function ListChanges({ list, noun, compact = false }) {
  const fresh = list.fresh > 0;
  const show = fresh || list.moved;
  const sort = compact ? "Sort again" : "Order changed: sort again";
  return html`<span class="list-changes">
    ${show &&
    html`<button type="button" class="button small" data-key=${fresh ? "u" : "s"} title="The order on the server changed" onClick=${list.sortAgain}>
      ${fresh ? `${count(list.fresh)} new` : sort} <kbd>${fresh ? "u" : "s"}</kbd>
    </button>`}
    <span class="muted">${list.total === null ? "" : `${count(list.total)} ${noun}`}</span>
  </span>`;
}
