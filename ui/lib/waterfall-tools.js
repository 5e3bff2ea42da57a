import { html } from "./preact.js";
import { zoomed } from "./waterfall-scale.js";
import { plural } from "./words.js";

/**
 * The switches and the zoom of a waterfall.
 * @param {{ state: import("./waterfall-state.js").WaterfallState, view: {fromMs: number, toMs: number}, unitMs: number,
 *   groups: string[], open: string[], hasIdle: boolean, hidden: number, onNextFinding: (() => void) | null,
 *   onState: (changes: Partial<import("./waterfall-state.js").WaterfallState>) => void }} props
 */
export function WaterfallTools({ state, view, unitMs, groups, open, hasIdle, hidden, onNextFinding, onState }) {
  const allOpen = groups.length > 0 && groups.every((id) => open.includes(id));
  return html`<div class="wf-tools" role="group" aria-label="What the waterfall shows">
    <${Switch} label="group" on=${state.grouped} about="Repeats of one shape are one row" onChange=${(grouped) => onState({ grouped, open: [], selected: null })} />
    ${hasIdle && html`<${Switch} label="fold idle" on=${state.folded} about="Long idle time is drawn short" onChange=${(folded) => onState({ folded })} />`}
    <${Switch} label=">1 %" on=${state.onlyLarge} about="Only what took 1 % of the time, and errors" onChange=${(onlyLarge) => onState({ onlyLarge })} />
    ${hidden > 0 && html`<span class="muted">${plural(hidden, "row")} hidden</span>`}
    <span class="wf-tools-end">
      ${onNextFinding && html`<button type="button" class="button" data-key="n" onClick=${onNextFinding}>Next finding <kbd>n</kbd></button>`}
      ${state.grouped && groups.length > 0 && html`<button type="button" class="button" data-key="e" onClick=${() => onState({ open: allOpen ? [] : groups })}>
        ${allOpen ? "Collapse all" : "Expand all"} <kbd>e</kbd></button>`}
      <button type="button" class="button" aria-label="Zoom out" onClick=${() => onState({ view: zoomed(view, 2, unitMs) })}>−</button>
      <button type="button" class="button" aria-label="Zoom in" onClick=${() => onState({ view: zoomed(view, 0.5, unitMs) })}>+</button>
      <button type="button" class="button" disabled=${state.view === null} onClick=${() => onState({ view: null })}>All</button>
    </span>
  </div>`;
}

function Switch({ label, on, about, onChange }) {
  return html`<button type="button" class="button" aria-pressed=${on} title=${about} onClick=${() => onChange(!on)}>${label}: ${on ? "on" : "off"}</button>`;
}
