import { html } from "./preact.js";

/**
 * A choice of one, shown as buttons in a row.
 * @param {{ label: string, tabs: { value: string, label: string }[], value: string, onChange: (value: string) => void }} props
 */
export function Tabs({ label, tabs, value, onChange }) {
  return html`<div class="tabs" role="group" aria-label=${label}>
    ${tabs.map(
      (tab) => html`<button key=${tab.value} type="button" class="tab" aria-pressed=${tab.value === value}
        onClick=${() => onChange(tab.value)}>${tab.label}</button>`,
    )}
  </div>`;
}
