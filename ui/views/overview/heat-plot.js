import { BOUNDS_MS, COLUMN_S, bandPosition, boundInWords, heatStep, quantile } from "../../lib/heat.js";
import { themeColours } from "../../lib/colours.js";
import { clockMinutes } from "../../lib/words.js";

const HEAT = ["heat-1", "heat-2", "heat-3", "heat-4", "heat-5", "heat-6"];

/**
 * @typedef {object} Grid
 * @property {number} start seconds since 1970
 * @property {number} end
 * @property {{ x: number, buckets: number[] }[]} columns
 * @property {number} bands rows drawn, from the bottom
 */

/**
 * A uPlot that draws a grid of cells under one step line, the 95th percentile.
 * @param {any} UPlot
 * @param {HTMLElement} host
 * @param {{ width: number, height: number, onPoint: (cell: { column: number, band: number } | null) => void,
 *   onBox: (box: { from: number, to: number, low: number }) => void }} options
 * @returns {{ draw: (grid: Grid) => void, resize: (size: { width: number, height: number }) => void,
 *   recolour: () => void, mark: (cell: { column: number, band: number } | null) => void, destroy: () => void }}
 */
export function createHeatPlot(UPlot, host, { width, height, onPoint, onBox }) {
  let grid = { start: 0, end: 1, columns: [], bands: 10 };
  let colours = readColours();
  let marked = null;
  let most = 1;

  const plot = new UPlot(
    {
      width,
      height,
      legend: { show: false },
      padding: [8, 0, 0, 0],
      cursor: { points: { show: false }, drag: { x: true, y: true, uni: 8, setScale: false } },
      scales: { x: { time: true, range: () => [grid.start, grid.end] }, y: { range: () => [0, grid.bands] } },
      axes: [axis({ space: 72, size: 28, values: (_, times) => times.map((at) => clockMinutes(at * 1000)) }), axis({ size: 56, splits, values: labels, grid: { show: false } })],
      series: [{}, { stroke: () => colours.text, width: 2, points: { show: false }, paths: UPlot.paths.stepped({ align: 1 }) }],
      hooks: { drawAxes: [drawCells], setCursor: [pointed], setSelect: [boxed] },
    },
    [[], []],
    host,
  );

  function axis(options) {
    return {
      stroke: () => colours.muted,
      font: "12px system-ui, sans-serif",
      grid: { stroke: () => colours.hairline, width: 1 },
      ticks: { show: false },
      ...options,
    };
  }

  function splits() {
    return BOUNDS_MS.slice(0, grid.bands).map((_, band) => band + 1).filter((band) => band % 3 === 1 && band < grid.bands);
  }

  function labels(_, places) {
    return places.map((place) => boundInWords(BOUNDS_MS[place - 1]));
  }

  function drawCells({ ctx, bbox, valToPos }) {
    const cell = (bbox.width * COLUMN_S) / (grid.end - grid.start);
    const row = bbox.height / grid.bands;
    const gap = cell >= 4 ? 1 : 0;
    for (const [index, { x, buckets }] of grid.columns.entries()) {
      const left = valToPos.call(plot, x, "x", true);
      for (let band = 0; band < grid.bands; band += 1) {
        const step = heatStep(buckets[band], most);
        const top = bbox.top + bbox.height - (band + 1) * row;
        if (step > 0) {
          ctx.fillStyle = colours[HEAT[step - 1]];
          ctx.fillRect(left, top, Math.max(1, cell - gap), row - 1);
        }
        if (marked?.column === index && marked.band === band) {
          ctx.strokeStyle = colours.accent;
          ctx.lineWidth = 2;
          ctx.strokeRect(left, top, Math.max(3, cell), row);
        }
      }
    }
  }

  function pointed({ cursor, posToVal }) {
    if (cursor.left < 0) return onPoint(null);
    const at = posToVal.call(plot, cursor.left, "x");
    const band = Math.floor(posToVal.call(plot, cursor.top, "y"));
    const column = grid.columns.findIndex(({ x }) => at >= x && at < x + COLUMN_S);
    onPoint(column < 0 ? null : { column, band: Math.max(0, Math.min(band, grid.bands - 1)) });
  }

  function boxed({ select, posToVal }) {
    if (select.width < 4) return;
    const low = select.height > 4 ? Math.floor(posToVal.call(plot, select.top + select.height, "y")) : 0;
    onBox({
      from: posToVal.call(plot, select.left, "x"),
      to: posToVal.call(plot, select.left + select.width, "x"),
      low: low > 0 ? BOUNDS_MS[low - 1] : 0,
    });
  }

  return {
    draw(next) {
      grid = next;
      most = Math.max(1, ...grid.columns.map(({ buckets }) => Math.max(...buckets)));
      plot.setData([grid.columns.map(({ x }) => x), grid.columns.map(p95Position)]);
    },
    resize: (size) => plot.setSize(size),
    recolour() {
      colours = readColours();
      plot.redraw();
    },
    mark(cell) {
      marked = cell;
      plot.redraw(false);
    },
    destroy: () => plot.destroy(),
  };
}

const readColours = () => themeColours([...HEAT, "text", "muted", "hairline", "accent"]);

function p95Position({ buckets }) {
  const p95 = quantile(buckets, 0.95);
  return p95 === null ? null : bandPosition(p95);
}
