/** What the keys do in a waterfall: from a key and the row that has the focus to what changes. */

import { panned, zoomed } from "./waterfall-scale.js";

const ZOOM_IN = 0.5;
const PAN_SHARE = 0.25;

/**
 * @typedef {object} Move
 * @property {string} [focus] the row that gets the focus
 * @property {Partial<import("./waterfall-state.js").WaterfallState>} [change]
 */

/**
 * @param {{key: string, shiftKey: boolean}} event
 * @param {object} now
 * @param {import("./waterfall.js").Row[]} now.rows
 * @param {number} now.at the row that has the focus
 * @param {string[]} now.open ids of the groups that are open
 * @param {string[]} now.groups ids of all groups
 * @param {{fromMs: number, toMs: number}} now.view
 * @param {number} now.unitMs
 * @param {(row: import("./waterfall.js").Row) => string | null} now.parentOf the row whose rows gave a row its values
 * @param {(row: import("./waterfall.js").Row) => boolean} now.hasFinding
 * @param {string | null} [now.selected] id of the row in the panel
 * @returns {Move | null} null where the key means nothing here
 */
export function moveOf(event, now) {
  const row = now.rows[now.at];
  if (!row) return null;
  if (event.shiftKey) return shifted(event.key, now);
  switch (event.key) {
    case "ArrowDown":
      return focusAt(now, now.at + 1);
    case "ArrowUp":
      return focusAt(now, now.at - 1);
    case "Home":
      return focusAt(now, 0);
    case "End":
      return focusAt(now, now.rows.length - 1);
    case "ArrowRight":
      return into(row, now);
    case "ArrowLeft":
      return outOf(row, now);
    case "Enter":
      return { change: { selected: row.item.id } };
    case "Escape":
      return now.selected ? { change: { selected: null } } : null;
    case "e":
      return { change: { open: now.groups } };
    case "n":
      return nextFinding(now);
    default:
      return zoom(event.key, now);
  }
}

function shifted(key, now) {
  if (key === "ArrowLeft") return { change: { view: panned(now.view, -PAN_SHARE, now.unitMs) } };
  if (key === "ArrowRight") return { change: { view: panned(now.view, PAN_SHARE, now.unitMs) } };
  if (key === "E" || key === "e") return { change: { open: [] } };
  return zoom(key, now);
}

function zoom(key, { view, unitMs }) {
  if (key === "+" || key === "=") return { change: { view: zoomed(view, ZOOM_IN, unitMs) } };
  if (key === "-") return { change: { view: zoomed(view, 1 / ZOOM_IN, unitMs) } };
  if (key === "0") return { change: { view: null } };
  return null;
}

function focusAt({ rows }, at) {
  const row = rows[Math.min(Math.max(at, 0), rows.length - 1)];
  return { focus: row.item.id };
}

function into(row, now) {
  if (row.expanded === null) return {};
  if (row.expanded) return focusAt(now, now.at + 1);
  return { change: { open: [...now.open, row.item.id] } };
}

function outOf(row, now) {
  if (row.expanded) return { change: { open: now.open.filter((id) => id !== row.item.id) } };
  const above = row.within ?? now.parentOf(row);
  return above ? { focus: above } : {};
}

function nextFinding({ rows, at, hasFinding }) {
  const found = [...rows.slice(at + 1), ...rows.slice(0, at + 1)].find(hasFinding);
  return found ? { focus: found.item.id } : {};
}
