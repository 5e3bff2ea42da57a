import { html } from "./preact.js";
import { Link } from "./router.js";
import { barOf, drawnPhases } from "./waterfall-scale.js";
import { zigzag } from "./waterfall-strip.js";
import { statementName } from "./statement-name.js";
import { count, exactMs, ms, plural } from "./words.js";

/** Shapes above a row that are shown by an indent; more than that is as deep as the last one. */
const DEPTH_MAX = 4;
/** Members of a group stand further in than it does. */
const DEPTH_INSIDE = 3;
/** Room for the line of a transaction, pixels. */
const NAME_LEFT_PX = 20;
const TRACK_PX = 20;
/** Between the name of a shape and how often it ran. */
const TIMES = " × ";
/** Room for the SQLSTATE beside a bar, pixels. */
const LABEL_PX = 72;

/** What application time is. */
export const ABOUT_APPLICATION = "Python, templates, other services: what happened between two queries";

/** What the row is called. @param {import("./waterfall.js").Item} item */
export function rowName(item) {
  if (item.kind === "application") return "application";
  const name = statementName(item.query);
  return item.kind === "group" ? `${name}${TIMES}${count(item.members.length)}` : name;
}

/**
 * One row of a waterfall.
 * @param {{ row: import("./waterfall.js").Row, scale: import("./waterfall-scale.js").Scale, finding: any,
 *   index: number, heightPx: number, hasFocus: boolean, isSelected: boolean,
 *   onToggle: (id: string) => void, onSelect: (id: string) => void, onFocus: (id: string) => void }} props
 */
export function Row({ row, scale, finding, index, heightPx, hasFocus, isSelected, onToggle, onSelect, onFocus }) {
  const { item, level, expanded, position, siblings } = row;
  const select = (event) => {
    if (event.target.closest("a, button")) return;
    onSelect(item.id);
  };
  return html`<div role="row" class=${`wf-row wf-row-${item.kind}`} data-item=${item.id}
    data-at-ms=${item.startMs} data-duration-ms=${item.durationMs} data-sum-ms=${item.sumMs}
    aria-level=${level} aria-expanded=${expanded ?? undefined} aria-posinset=${position} aria-setsize=${siblings}
    aria-rowindex=${index + 2} aria-selected=${isSelected} tabindex=${hasFocus ? 0 : -1}
    style=${{ top: `${index * heightPx}px`, height: `${heightPx}px` }}
    onClick=${select} onFocus=${() => onFocus(item.id)}>
    <${Name} row=${row} finding=${finding} hasFocus=${hasFocus} onToggle=${onToggle} />
    <div role="gridcell" class="wf-rows">${item.kind === "application" ? "" : plural(item.rows, "row")}</div>
    <${Time} item=${item} />
    <div role="gridcell" class="wf-track">
      <span class="visually-hidden">at ${ms(item.startMs)}, for ${ms(item.durationMs)}</span>
      <${Track} item=${item} scale=${scale} />
    </div>
  </div>`;
}

function Name({ row, finding, hasFocus, onToggle }) {
  const { item, level, expanded, rail } = row;
  const name = rowName(item);
  const [label, times] = name.split(TIMES);
  const depth = level > 1 ? DEPTH_INSIDE : Math.min(item.depth ?? 0, DEPTH_MAX);
  const tab = hasFocus ? 0 : -1;
  return html`<div role="gridcell" class="wf-name" style=${{ paddingLeft: `${NAME_LEFT_PX + depth * 12}px` }}>
    ${rail && html`<${Rail} rail=${rail} number=${item.transaction} />`}
    ${expanded === null
      ? html`<span class="wf-no-toggle"></span>`
      : html`<button type="button" class="wf-toggle" tabindex=${tab} aria-label=${`${expanded ? "Collapse" : "Expand"} ${name}`}
          onClick=${() => onToggle(item.id)}>${expanded ? "▾" : "▸"}</button>`}
    <span class="wf-label" title=${item.kind === "application" ? ABOUT_APPLICATION : item.query || name}>${label}</span>
    ${times && html`<span class="wf-times">${TIMES.trim()} ${times}</span>`}
    ${finding &&
    html`<${Link} class="wf-finding" tabindex=${tab} href=${`/findings/${finding.id}`} title=${finding.advice.title}>
      <span aria-hidden="true">●</span><span class="wf-finding-word"> finding</span>
    <//>`}
  </div>`;
}

/** The line beside the rows of one transaction; a T where it begins. */
function Rail({ rail, number }) {
  const begins = rail === "first" || rail === "only";
  return html`<span class=${`wf-rail wf-rail-${rail}`} title=${`in transaction ${number + 1}`}>
    ${begins && html`<span aria-hidden="true">T</span>`}
    <span class="visually-hidden">in transaction ${number + 1}:</span>
  </span>`;
}

function Time({ item }) {
  const isGroup = item.kind === "group";
  const value = isGroup ? item.sumMs : item.durationMs;
  return html`<div role="gridcell" class="wf-time" title=${exactMs(value)}>${ms(value)}${isGroup && html`<span class="muted"> sum</span>`}</div>
    <div role="gridcell" class="wf-each">${isGroup && html`<span title="median">${ms(item.eachMs)} each</span>`}</div>`;
}

function Track({ item, scale }) {
  const { x, width } = barOf(scale, item);
  const bar = html`<${Bar} item=${item} scale=${scale} x=${x} width=${width} />`;
  if (x + width < 0) return html`${bar}<span class="wf-beyond wf-beyond-left" aria-hidden="true">‹</span>`;
  if (x > scale.widthPx) return html`${bar}<span class="wf-beyond wf-beyond-right" aria-hidden="true">›</span>`;
  const failed = failureOf(item);
  const fitsRight = x + width + LABEL_PX < scale.widthPx;
  const place = fitsRight ? { left: `${Math.max(x + width, 0) + 6}px` } : { right: `${Math.min(scale.widthPx - x, scale.widthPx - LABEL_PX) + 6}px` };
  return html`${bar}
    ${failed && html`<span class="wf-failed" style=${place}>${failed}</span>`}`;
}

function failureOf({ errors, sqlstate }) {
  if (errors > 0) return `✕ ${plural(errors, "error")}`;
  return sqlstate ? `✕ ${sqlstate}` : "";
}

function Bar({ item, scale, x, width }) {
  const box = { left: `${x}px`, width: `${width}px` };
  if (item.kind === "application") return html`<${Gap} gap=${item} scale=${scale} box=${box} />`;
  if (item.kind === "group") {
    return html`<svg class="wf-bar wf-ticks" style=${box} width=${width} height=${TRACK_PX} data-bar aria-hidden="true">
      <path class="wf-span" d=${`M0.5 4V${TRACK_PX - 1}H${Math.max(width - 0.5, 1)}V4`} />
      <path class="wf-fill-database" d=${ticks(item.members.filter(({ sqlstate }) => !sqlstate), scale, x)} />
      <path class="wf-tick-error" d=${ticks(item.members.filter(({ sqlstate }) => sqlstate), scale, x)} />
    </svg>`;
  }
  return html`<span class=${item.sqlstate ? "wf-bar wf-error" : "wf-bar"} style=${box} data-bar aria-hidden="true">
    ${drawnPhases(item, width).map(({ phase, startMs, endMs }) => html`<i key=${phase} class=${`wf-phase wf-fill-${phase}`} style=${{ flexGrow: Math.max(endMs - startMs, Number.EPSILON) }}></i>`)}
  </span>`;
}

function Gap({ gap, scale, box }) {
  const fold = scale.folds.find(({ startMs, endMs }) => startMs >= gap.startMs && endMs <= gap.endMs);
  if (!fold) return html`<span class="wf-bar wf-application" style=${box} data-bar aria-hidden="true"></span>`;
  return html`<svg class="wf-fold-line" width=${scale.widthPx} height=${TRACK_PX} data-bar aria-hidden="true">
    <path class="wf-zigzag" d=${zigzag(scale, fold, TRACK_PX)} />
  </svg>`;
}

/** One tick a member, with a pixel between any two: the database was not busy all the time. */
function ticks(members, scale, left) {
  const parts = [];
  let freeFrom = -Infinity;
  for (const member of members) {
    const bar = barOf(scale, member);
    const end = bar.x + bar.width;
    const start = Math.max(bar.x, freeFrom);
    if (end - start < 1 || end < 0 || start > scale.widthPx) continue;
    parts.push(`M${(start - left).toFixed(2)} 4h${(end - start).toFixed(2)}v12h${(start - end).toFixed(2)}z`);
    freeFrom = end + 1;
  }
  return parts.join("");
}
