import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../../lib/preact.js";
import { STEPS, bandInWords, quantile, sumColumns } from "../../lib/heat.js";
import { loadUplot } from "../../lib/uplot.js";
import { navigate } from "../../lib/router.js";
import { themeApplied } from "../../lib/settings.js";
import { useStore } from "../../lib/store.js";
import { useNarrow } from "../../lib/media.js";
import { clock, count, exactTime, ms, plural } from "../../lib/words.js";
import { Section } from "../../lib/parts.js";
import { Table } from "../../lib/table.js";
import { createHeatPlot } from "./heat-plot.js";

const HEIGHT = 288;
/** Bands that are always drawn, up to 100 ms. */
const BANDS_MIN = 10;
const NARROW_COLUMNS = 30;

/**
 * How long queries took over time: rows are durations, columns time, colour is how many.
 * @param {{ start: number, end: number, columns: any[] }} props
 */
export function HeatMap({ start, end, columns: all }) {
  const narrow = useNarrow();
  const columns = useMemo(() => (narrow ? all.slice(-NARROW_COLUMNS) : all), [narrow, all]);
  const from = narrow ? end - NARROW_COLUMNS * 5 : start;
  const [asTable, setAsTable] = useState(false);
  const [cell, setCell] = useState(null);
  const bands = useBands(columns);
  const grid = { start: from, end, columns, bands };
  const toggle = html`<span class="section-tools"><${Legend} columns=${columns} /><button type="button" class="button small" aria-pressed=${asTable} onClick=${() => setAsTable(!asTable)}>Table</button></span>`;

  return html`<${Section} title="Latency" note=${toggle} class="heat">
    <div class="section-body">
      ${asTable
        ? html`<div class="heat-table" tabindex="0" role="region" aria-label="Latency as a table"><${Columns} columns=${columns} /></div>`
        : html`<div class="heat-chart">
            <${Chart} grid=${grid} cell=${cell} onCell=${setCell} onMissing=${() => setAsTable(true)} />
            ${!narrow && html`<${Profile} columns=${columns} cell=${cell} bands=${bands} />`}
          </div>
          <${Caption} columns=${columns} cell=${cell} />`}
    </div>
  <//>`;
}

/** Rows drawn: they grow with the slowest query and do not shrink while the view stays. */
function useBands(columns) {
  const most = useRef(BANDS_MIN);
  for (const { buckets } of columns) {
    for (let band = buckets.length - 1; band >= most.current; band -= 1) {
      if (buckets[band] > 0) most.current = band + 1;
    }
  }
  return most.current;
}

/** `onMissing` is called where uPlot cannot be loaded. */
function Chart({ grid, cell, onCell, onMissing }) {
  const host = useRef(null);
  const plot = useRef(null);
  const latest = useRef(grid);
  const walked = useRef(null);
  latest.current = grid;
  const colours = useStore(themeApplied);

  useEffect(() => {
    let gone = false;
    let observer = null;
    const size = () => ({ width: host.current.clientWidth, height: HEIGHT });
    loadUplot().then((UPlot) => {
      if (gone) return;
      plot.current = createHeatPlot(UPlot, host.current, { ...size(), onPoint: onCell, onBox: openRequests });
      plot.current.draw(latest.current);
      observer = new ResizeObserver(() => plot.current.resize(size()));
      observer.observe(host.current);
    }, onMissing);
    return () => {
      gone = true;
      observer?.disconnect();
      plot.current?.destroy();
      plot.current = null;
    };
  }, []);
  useLayoutEffect(() => plot.current?.draw(grid), [grid.columns, grid.start, grid.bands]);
  useEffect(() => plot.current?.recolour(), [colours]);

  function walk(event) {
    const next = walkedTo(event.key, walked.current ?? cell, grid);
    if (!next) return;
    event.preventDefault();
    walked.current = next;
    plot.current?.mark(next);
    onCell(next);
  }
  function stop() {
    walked.current = null;
    plot.current?.mark(null);
    onCell(null);
  }

  return html`<div ref=${host} class="heat-plot" tabindex="0" role="application" aria-roledescription="heat map"
    aria-label=${`${inWords(grid.columns)} Arrow keys walk the cells.`} onKeyDown=${walk} onBlur=${stop}></div>`;
}

const STEPS_BY_KEY = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

function walkedTo(key, cell, { columns, bands }) {
  const step = STEPS_BY_KEY[key];
  if (!step || columns.length === 0) return null;
  const now = cell ?? { column: columns.length - 1, band: 0 };
  const inside = (value, most) => Math.max(0, Math.min(value, most - 1));
  return { column: inside(now.column + step[0], columns.length), band: inside(now.band + step[1], bands) };
}

/** Requests of the time in the box that took at least as long as its lower edge. */
function openRequests({ from, to, low }) {
  const params = new URLSearchParams({ from: iso(from), to: iso(to) });
  if (low > 0) params.set("q", `d>${low}ms`);
  navigate(`/requests?${params}`);
}

const iso = (seconds) => new Date(seconds * 1000).toISOString();

function inWords(columns) {
  const { calls, buckets } = sumColumns(columns);
  if (calls === 0) return "Latency of queries: none in this time.";
  return `Latency of ${plural(calls, "query", "queries")}: median ${ms(quantile(buckets, 0.5))}, 95 % within ${ms(quantile(buckets, 0.95))}.`;
}

/** The histogram of the column that is pointed at, or of all of them. */
function Profile({ columns, cell, bands }) {
  const buckets = columns[cell?.column]?.buckets ?? sumColumns(columns).buckets;
  const most = Math.max(1, ...buckets);
  return html`<div class="heat-profile" aria-hidden="true">
    ${buckets.slice(0, bands).map(
      (number, band) => html`<span key=${band} class=${cell?.band === band ? "chosen" : ""}
        style=${{ width: number > 0 ? `max(2px, ${(100 * number) / most}%)` : "0" }}></span>`,
    )}
  </div>`;
}

function Caption({ columns, cell }) {
  const column = columns[cell?.column];
  return html`<p class="heat-caption" aria-live=${cell ? "polite" : "off"} title=${column ? exactTime(column.at) : undefined}>
      ${column
        ? `${clock(column.at)} · ${bandInWords(cell.band)} · ${count(column.buckets[cell.band])} of ${plural(column.calls, "query", "queries")}`
        : inWords(columns)}
  </p>`;
}

function Legend({ columns }) {
  return html`<span class="heat-legend" aria-hidden="true">
    1 ${Array.from({ length: STEPS }, (_, step) => html`<i key=${step} class=${`heat-${step + 1}`}></i>`)} ${plural(most(columns), "query", "queries")}
    <i class="p95"></i> p95
  </span>`;
}

const most = (columns) => Math.max(1, ...columns.map(({ buckets }) => Math.max(...buckets)));

const TABLE = [
  { key: "at", label: "time", narrow: "name", cell: ({ at }) => html`<span title=${exactTime(at)}>${clock(at)}</span>` },
  { key: "calls", label: "queries", number: true, cell: ({ calls }) => count(calls) },
  ...[50, 95, 99].map((percentile) => ({
    key: `p${percentile}`,
    label: `p${percentile}`,
    number: true,
    narrow: "figure",
    cell: ({ buckets }) => ms(quantile(buckets, percentile / 100)),
  })),
];

function Columns({ columns }) {
  const rows = columns.filter(({ calls }) => calls > 0).reverse().slice(0, 180);
  return html`<${Table} label="Latency by five seconds, newest first" columns=${TABLE} rows=${rows} rowId=${({ at }) => at} />`;
}
