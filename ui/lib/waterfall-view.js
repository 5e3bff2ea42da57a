import { html, useLayoutEffect, useMemo, useRef, useState } from "./preact.js";
import { useNarrow } from "./media.js";
import { rowOf, shownRows, waterfall } from "./waterfall.js";
import { idleOf, scaleOf, ticksOf } from "./waterfall-scale.js";
import { moveOf } from "./waterfall-keys.js";
import { Strip } from "./waterfall-strip.js";
import { Row } from "./waterfall-row.js";
import { WaterfallTools } from "./waterfall-tools.js";
import { ms, percent, plural } from "./words.js";

const ROW_PX = { wide: 32, narrow: 56 };
const HEAD_PX = 28;
/** Rows drawn above and below those in sight. */
const AROUND = 8;

/**
 * The waterfall of a unit: the strip, the tools, and the rows as a tree grid.
 * @param {{ unit: any, findings: any[], state: import("./waterfall-state.js").WaterfallState,
 *   onState: (changes: Partial<import("./waterfall-state.js").WaterfallState>) => void,
 *   compact?: boolean }} props `compact`: lower and without tools, inside of another view
 */
export function Waterfall({ unit, findings, state, onState, compact = false }) {
  const narrow = useNarrow();
  const rowPx = narrow ? ROW_PX.narrow : ROW_PX.wide;
  const fall = useMemo(() => waterfall(unit, { grouped: state.grouped }), [unit, state.grouped]);
  const idle = useMemo(() => idleOf(fall.gaps, fall.durationMs), [fall]);
  const groups = useMemo(() => fall.items.filter(({ kind }) => kind === "group").map(({ id }) => id), [fall]);
  const open = state.open === "all" ? groups : state.open;
  const { rows, hidden } = useMemo(
    () => shownRows(fall, { expanded: new Set(open), onlyLarge: state.onlyLarge }),
    [fall, open.join(), state.onlyLarge],
  );
  const findingOf = useMemo(() => findingsByShape(findings), [findings]);

  const [axis, widthPx] = useWidth();
  const [strip, stripPx] = useWidth();
  const folds = state.folded ? idle : NO_FOLDS;
  const view = state.view ?? { fromMs: 0, toMs: fall.durationMs };
  const scale = scaleOf({ ...view, widthPx, folds });

  const scroller = useRef(null);
  const sight = useSight(scroller, rowPx);
  const [focused, setFocused] = useState(null);
  const focusAt = Math.max(rows.findIndex(({ item }) => item.id === focused), 0);
  const wantsFocus = useFocus(scroller, rows[focusAt]?.item.id);

  const setView = (next) => onState({ view: next });
  const toggle = (id) => onState({ open: open.includes(id) ? open.filter((other) => other !== id) : [...open, id] });
  const parentOf = ({ item }) => {
    const origin = (item.members?.[0] ?? item).origin ?? null;
    return origin === null ? null : rowOf(rows, origin);
  };
  const hasFinding = ({ item, level }) => level === 1 && findingOf.has(item.fingerprint);

  function focusRow(id) {
    const at = rows.findIndex(({ item }) => item.id === id);
    setFocused(id);
    wantsFocus.current = true;
    reveal(scroller.current, at * rowPx, rowPx);
  }

  function keyDown(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.getAttribute("role") !== "row") return;
    const move = moveOf(event, { rows, at: focusAt, open, groups, view, unitMs: fall.durationMs, parentOf, hasFinding, selected: state.selected });
    if (!move) return;
    event.preventDefault();
    if (move.focus) focusRow(move.focus);
    // An open panel follows the focus.
    if (move.focus && state.selected) onState({ selected: move.focus });
    if (move.change) onState(move.change);
  }

  const nextFinding = () => {
    const move = moveOf({ key: "n", shiftKey: false }, { rows, at: focusAt, hasFinding });
    if (move?.focus) focusRow(move.focus);
  };

  return html`<div class="wf">
    ${!compact &&
    html`<${WaterfallTools} state=${state} onState=${onState} view=${view} unitMs=${fall.durationMs} groups=${groups} open=${open}
      hasIdle=${idle.length > 0} hidden=${hidden} onNextFinding=${rows.some(hasFinding) ? nextFinding : null} />`}
    <div class="wf-strip-box" ref=${strip}>
      ${stripPx > 0 && html`<${Strip} fall=${fall} folds=${folds} widthPx=${stripPx} view=${view} words=${inWords(unit)} onView=${setView} />`}
    </div>
    <div class=${compact ? "wf-scroll wf-scroll-compact" : "wf-scroll"} ref=${scroller} role="treegrid" aria-label="Queries in order of time"
      aria-rowcount=${rows.length + 1} aria-colcount="5" onKeyDown=${keyDown}>
      <div role="rowgroup" class="wf-head">
        <div role="row" aria-rowindex="1" class="wf-head-row">
          <span role="columnheader" class="wf-name">query</span>
          <span role="columnheader" class="wf-rows">rows</span>
          <span role="columnheader" class="wf-time">time</span>
          <span role="columnheader" class="wf-each">each</span>
          <span role="columnheader" class="wf-axis" ref=${axis} aria-label=${`from ${ms(view.fromMs)} to ${ms(view.toMs)}`}>
            <${Axis} scale=${scale} narrow=${narrow} />
          </span>
        </div>
      </div>
      <div role="rowgroup" class=${unit.incomplete ? "wf-body wf-incomplete" : "wf-body"} style=${{ height: `${rows.length * rowPx}px` }}>
        <${Lines} scale=${scale} />
        ${inSight(rows, sight, focusAt).map(
          (at) => html`<${Row} key=${rows[at].item.id} row=${rows[at]} scale=${scale} index=${at} heightPx=${rowPx}
            finding=${rows[at].level === 1 ? findingOf.get(rows[at].item.fingerprint) : null}
            hasFocus=${at === focusAt} isSelected=${rows[at].item.id === state.selected}
            onToggle=${toggle} onFocus=${setFocused}
            onSelect=${(id) => onState({ selected: id === state.selected ? null : id })} />`,
        )}
      </div>
    </div>
  </div>`;
}

const NO_FOLDS = [];

/** The findings by the shape that repeats; of several the most costly. */
function findingsByShape(findings) {
  const found = new Map();
  for (const finding of [...findings].sort((a, b) => a.cost_ms - b.cost_ms)) {
    if (finding.kind !== "chatty_unit") found.set(finding.fingerprint, finding);
  }
  return found;
}

/** A unit in one sentence, for who does not see the strip. */
function inWords({ duration_ms: duration, queries, phases }) {
  const share = (name) => `${name} ${percent(phases[`${name}_ms`], duration)}`;
  return `${ms(duration)} with ${plural(queries, "query", "queries")}: ${share("application")}, ${share("database")}, ${share("transfer")}`;
}

/** The width of an element, followed. @returns {[import("preact").RefObject<Element>, number]} */
function useWidth() {
  const element = useRef(null);
  const [width, setWidth] = useState(0);
  useLayoutEffect(() => {
    const observer = new ResizeObserver(() => setWidth(element.current.clientWidth));
    observer.observe(element.current);
    setWidth(element.current.clientWidth);
    return () => observer.disconnect();
  }, []);
  return [element, width];
}

/** The rows that are scrolled into sight. */
function useSight(scroller, rowPx) {
  const [sight, setSight] = useState({ from: 0, to: 4 * AROUND });
  useLayoutEffect(() => {
    const box = scroller.current;
    const look = () => {
      const from = Math.max(Math.floor(box.scrollTop / rowPx / AROUND - 1), 0) * AROUND;
      const to = from + Math.ceil(box.clientHeight / rowPx / AROUND + 2) * AROUND;
      setSight((now) => (now.from === from && now.to === to ? now : { from, to }));
    };
    look();
    box.addEventListener("scroll", look, { passive: true });
    const observer = new ResizeObserver(look);
    observer.observe(box);
    return () => {
      box.removeEventListener("scroll", look);
      observer.disconnect();
    };
  }, [rowPx]);
  return sight;
}

/** Places of the rows to draw: those in sight, and the one that has the focus. */
function inSight(rows, { from, to }, focusAt) {
  const places = [];
  for (let at = from; at < Math.min(to, rows.length); at += 1) places.push(at);
  if (focusAt < rows.length && !places.includes(focusAt)) places.push(focusAt);
  return places;
}

/** Gives the focus to the row `id` once it is drawn, after `current` was set. */
function useFocus(scroller, id) {
  const wanted = useRef(false);
  useLayoutEffect(() => {
    if (!wanted.current) return;
    wanted.current = false;
    scroller.current.querySelector(`[data-item="${id}"]`)?.focus({ preventScroll: true });
  });
  return wanted;
}

function reveal(box, topPx, rowPx) {
  const sightPx = box.clientHeight - HEAD_PX;
  if (topPx < box.scrollTop) box.scrollTop = topPx;
  else if (topPx + rowPx > box.scrollTop + sightPx) box.scrollTop = topPx + rowPx - sightPx;
}

/** Round times need no three digits. */
const tickLabel = (at) => (at < 1_000 ? `${Number(at.toPrecision(6))}\u00a0ms` : `${Number((at / 1_000).toPrecision(6))}\u00a0s`);

function Axis({ scale, narrow }) {
  if (scale.widthPx === 0) return null;
  const all = ticksOf(scale);
  const ticks = narrow ? [] : all;
  return html`
    ${ticks.map(({ ms: at, x }) => html`<span key=${at} class=${x > scale.widthPx - 56 ? "wf-tick wf-tick-last" : "wf-tick"} data-ms=${at} style=${{ left: `${x}px` }}>${tickLabel(at)}</span>`)}
    ${narrow && html`<span class="wf-tick" style=${{ left: 0 }}>${ms(scale.fromMs)}</span><span class="wf-tick wf-tick-last" style=${{ left: "100%" }}>${ms(scale.toMs)}</span>`}
    ${scale.folds.map(
      ({ startMs, endMs }) => html`<span key=${`f${startMs}`} class="wf-fold-label" style=${{ left: `${scale.x(startMs)}px`, width: `${scale.x(endMs) - scale.x(startMs)}px` }}>${ms(endMs - startMs)}</span>`,
    )}
  `;
}

/** Thin lines under the labels of the axis. */
function Lines({ scale }) {
  if (scale.widthPx === 0) return null;
  return html`<div class="wf-lines" aria-hidden="true">
    ${ticksOf(scale).map(({ ms: at, x }) => html`<i key=${at} style=${{ left: `${x}px` }}></i>`)}
  </div>`;
}
