import { html, useState } from "../../lib/preact.js";
import { BOUNDS_MS, bandInWords, bandPosition, boundInWords } from "../../lib/heat.js";
import { useNarrow } from "../../lib/media.js";
import { count, ms, percent, plural } from "../../lib/words.js";

/** Of the drawing, in its own units; a narrow page gets a narrow drawing, so that its text keeps its size. */
const WIDTHS = { wide: 640, narrow: 340 };
const HEIGHT = 220;
const TOP = 20;
/** Least room for the label of a bound. */
const TICK = 56;
const BASE = HEIGHT - 20;
const MARKS = ["p50", "p95", "p99"];

/** Calls by duration on the metric's bounds, with three quantiles. @param {{ query: any }} props */
export function Distribution({ query }) {
  const [log, setLog] = useState(false);
  const width = useNarrow() ? WIDTHS.narrow : WIDTHS.wide;
  const counts = query.histogram.map(({ count: number }) => number);
  const first = Math.max(0, counts.findIndex((number) => number > 0) - 1);
  const last = Math.min(counts.length, counts.findLastIndex((number) => number > 0) + 2);
  const band = width / (last - first);
  const every = Math.ceil(TICK / band);
  const most = Math.max(1, ...counts);
  const height = (number) => (BASE - TOP) * (log ? Math.log(number + 1) / Math.log(most + 1) : number / most);
  const bars = counts.slice(first, last).map((number, index) => ({ number, band: first + index }));

  return html`<div class="distribution">
    <svg viewBox=${`0 0 ${width} ${HEIGHT}`} role="img" aria-label=${inWords(query)}>
      <line class="axis" x1="0" x2=${width} y1=${BASE} y2=${BASE} />
      ${bars.map(({ number, band: row }, index) => {
        const high = number > 0 ? Math.max(2, height(number)) : 0;
        const x = index * band;
        return html`<g key=${row}>
          <rect class="bar" x=${x + 1} y=${BASE - high} width=${band - 2} height=${high}><title>${`${bandInWords(row)}: ${plural(number, "call")}, ${percent(number, query.calls)}`}</title></rect>
          ${index > 0 && index % every === 0 && html`<text class="tick" x=${x} y=${HEIGHT - 4} text-anchor="middle">${boundInWords(BOUNDS_MS[row - 1])}</text>`}
        </g>`;
      })}
      ${marks(query, first, band, width).map(
        ({ name, x, anchor }) => html`<g key=${name} class="mark">
          <line x1=${x} x2=${x} y1=${TOP} y2=${BASE} />
          <text x=${x} y="13" text-anchor=${anchor}>${name}</text>
        </g>`,
      )}
    </svg>
    <p class="distribution-foot">
      <span class="muted">${inWords(query)}</span>
      <button type="button" class="button small" aria-pressed=${log} onClick=${() => setLog(!log)}>Log scale</button>
    </p>
  </div>`;
}

/** Where the quantiles stand; of two that stand together the later is written to the right. */
function marks(query, first, band, width) {
  let before = -Infinity;
  return MARKS.map((name) => {
    const x = Math.min(width - 2, Math.max(2, (bandPosition(query[`${name}_ms`]) - first) * band));
    const anchor = x - before < 28 ? "start" : x > width - 20 ? "end" : "middle";
    before = x;
    return { name, x, anchor };
  });
}

function inWords({ calls, p50_ms: p50, p95_ms: p95, p99_ms: p99 }) {
  return `${count(calls)} calls: half within ${ms(p50)}, 95 % within ${ms(p95)}, 99 % within ${ms(p99)}.`;
}
