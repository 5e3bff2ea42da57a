/** What a reader chose to see of a waterfall, and how it stands in the query string. */

/**
 * @typedef {object} WaterfallState
 * @property {boolean} grouped
 * @property {boolean} folded whether idle time is folded
 * @property {boolean} onlyLarge only rows of 1 % of the unit and more
 * @property {"all" | string[]} open ids of the groups that are open
 * @property {string | null} selected id of the row in the panel
 * @property {{fromMs: number, toMs: number} | null} view null shows the whole unit
 */

/** @type {WaterfallState} */
export const INITIAL = { grouped: true, folded: true, onlyLarge: false, open: [], selected: null, view: null };

/**
 * @param {Record<string, string>} params of the query string
 * @returns {WaterfallState}
 */
export function stateOf({ group, fold, large, open, row, zoom }) {
  return {
    grouped: group !== "off",
    folded: fold !== "off",
    onlyLarge: large === "on",
    open: open === "all" ? "all" : (open ?? "").split(".").filter(Boolean),
    selected: row || null,
    view: viewOf(zoom),
  };
}

/** `12.5-80` */
function viewOf(zoom) {
  const bounds = (zoom ?? "").split("-");
  const [fromMs, toMs] = bounds.map(Number);
  return bounds.length === 2 && fromMs >= 0 && toMs > fromMs ? { fromMs, toMs } : null;
}

/**
 * The changes as parameters of the query string; what is as at first has none.
 * @param {Partial<WaterfallState>} changes
 * @returns {Record<string, string | null>}
 */
export function paramsOf(changes) {
  const params = {};
  if ("grouped" in changes) params.group = changes.grouped ? null : "off";
  if ("folded" in changes) params.fold = changes.folded ? null : "off";
  if ("onlyLarge" in changes) params.large = changes.onlyLarge ? "on" : null;
  if ("open" in changes) params.open = changes.open === "all" ? "all" : changes.open.join(".") || null;
  if ("selected" in changes) params.row = changes.selected;
  if ("view" in changes) {
    params.zoom = changes.view ? `${short(changes.view.fromMs)}-${short(changes.view.toMs)}` : null;
  }
  return params;
}

const short = (ms) => Number(ms.toFixed(3));
