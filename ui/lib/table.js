import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "./preact.js";
import { announce } from "./announce.js";
import { useNarrow } from "./media.js";

/** Longer tables draw only the rows in sight, and some above and below. */
const WINDOW_ABOVE = 100;
const AROUND = 8;
const ROW_HEIGHT = { wide: 32, narrow: 60 };

/**
 * @typedef {object} Column
 * @property {string} key
 * @property {string} label
 * @property {(row: any) => any} cell
 * @property {string} [sort] value of the API's `sort` that orders by it; all orders begin with the greatest
 * @property {boolean} [number] right-aligned figures
 * @property {string} [width] CSS width; a column without one takes what is left
 * @property {"name" | "figure" | "mark"} [narrow] its place where there is no room: first line, second line,
 *   or the end of the first line; without one it is left out there
 * @property {string} [about] for the header's `title`
 */

/**
 * A native table, sorted by the server, windowed above 100 rows.
 * @param {{ label: string, columns: Column[], rows: any[], rowId: (row: any) => string, total?: number | null,
 *   sort?: string, onSort?: (sort: string) => void, rowProps?: (row: any) => object, onEnd?: () => void }} props
 *   `onEnd`: called when the last rows come into sight
 */
export function Table({ label, columns, rows, rowId, total, sort, onSort, rowProps, onEnd }) {
  const narrow = useNarrow();
  const body = useRef(null);
  const height = narrow ? ROW_HEIGHT.narrow : ROW_HEIGHT.wide;
  const windowed = rows.length > WINDOW_ABOVE;
  const sight = useRowsInSight(body, height, windowed);
  const from = windowed ? Math.min(sight.from, Math.max(0, rows.length - AROUND)) : 0;
  const to = windowed ? Math.min(rows.length, sight.to) : rows.length;
  const shown = useMemo(() => (narrow ? columns.filter((column) => column.narrow) : columns), [narrow, columns]);

  useEndInSight(body, rows.length, onEnd);

  return html`
    ${narrow && onSort && html`<${SortSelect} columns=${columns} sort=${sort} onSort=${onSort} />`}
    <table class=${narrow ? "table table-narrow" : "table"} role="table" aria-label=${label} aria-rowcount=${(total ?? rows.length) + 1}>
      <thead role="rowgroup" class=${narrow ? "visually-hidden" : ""}>
        <tr role="row" aria-rowindex="1">
          ${shown.map((column) => html`<${Header} key=${column.key} column=${column} sort=${sort} onSort=${narrow ? null : onSort} />`)}
        </tr>
      </thead>
      <tbody role="rowgroup" ref=${body}>
        ${from > 0 && html`<tr key="above" role="presentation" class="filler"><td style=${{ height: `${from * height}px` }}></td></tr>`}
        ${rows.slice(from, to).map((row, index) => {
          const id = rowId(row);
          return html`<tr key=${id} role="row" data-row=${id} aria-rowindex=${from + index + 2} ...${rowProps?.(row)} onClick=${openRow}>
            <${Cells} columns=${shown} row=${row} />
          </tr>`;
        })}
        ${to < rows.length && html`<tr key="below" role="presentation" class="filler"><td style=${{ height: `${(rows.length - to) * height}px` }}></td></tr>`}
      </tbody>
    </table>
  `;
}

function Header({ column, sort, onSort }) {
  const sorted = Boolean(column.sort) && column.sort === sort;
  const choose = () => {
    onSort(column.sort);
    announce(`Sorted by ${column.about ?? column.label}`);
  };
  return html`<th role="columnheader" scope="col" class=${column.number ? "number" : ""} style=${{ width: column.width }}
    aria-sort=${sorted ? "descending" : undefined} title=${column.about}>
    ${column.sort && onSort
      ? html`<button type="button" class="sort" onClick=${choose}>${column.label}${sorted && html`<span aria-hidden="true" class="arrow">▼</span>`}</button>`
      : column.label}
  </th>`;
}

/** The cells of a row; drawn again only with other figures. */
function Cells({ columns, row }) {
  return useMemo(() => columns.map((column) => drawCell(column, row)), [columns, row]);
}

function drawCell(column, row) {
  const place = column.narrow ? ` place-${column.narrow}` : "";
  return html`<td key=${column.key} role="cell" class=${(column.number ? "number" : "") + place} data-label=${column.label}>${column.cell(row)}</td>`;
}

/** Where headers have no room, the same choice as a list. */
function SortSelect({ columns, sort, onSort }) {
  return html`<label class="sort-select">order
    <select value=${sort} onChange=${(event) => onSort(event.currentTarget.value)}>
      ${columns.filter((column) => column.sort).map((column) => html`<option key=${column.sort} value=${column.sort}>${column.about ?? column.label}</option>`)}
    </select>
  </label>`;
}

/** A click anywhere in a row is one on its first link or button; selecting text is none. */
function openRow(event) {
  if (event.target.closest("a, button, input, select")) return;
  if (getSelection()?.toString()) return;
  const link = event.currentTarget.querySelector("a, button");
  link?.focus({ preventScroll: true });
  link?.click();
}

/** The rows to draw, in steps so that scrolling does not draw at each pixel. */
function useRowsInSight(body, height, windowed) {
  const [sight, setSight] = useState({ from: 0, to: 4 * AROUND });
  useLayoutEffect(() => {
    if (!windowed) return undefined;
    const look = () => {
      const above = -body.current.getBoundingClientRect().top / height;
      const from = Math.max(0, Math.floor(above / AROUND - 1) * AROUND);
      const to = from + Math.ceil(innerHeight / height / AROUND + 2) * AROUND;
      setSight((now) => (now.from === from && now.to === to ? now : { from, to }));
    };
    look();
    addEventListener("scroll", look, { passive: true });
    addEventListener("resize", look);
    return () => {
      removeEventListener("scroll", look);
      removeEventListener("resize", look);
    };
  }, [windowed, height]);
  return sight;
}

/** Asks for more when less than two screens are left. */
function useEndInSight(body, length, onEnd) {
  const asked = useRef(onEnd);
  asked.current = onEnd;
  useEffect(() => {
    const look = () => {
      const left = body.current.getBoundingClientRect().bottom - innerHeight;
      if (left < 2 * innerHeight) asked.current?.();
    };
    look();
    addEventListener("scroll", look, { passive: true });
    return () => removeEventListener("scroll", look);
  }, [length]);
}
