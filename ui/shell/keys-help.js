import { html, useEffect, useRef } from "../lib/preact.js";
import { useStore } from "../lib/store.js";
import { KEY_HELP } from "../lib/keys.js";
import { keysSetting } from "../lib/settings.js";

/** The list of keys, and the switch that turns them off. @param {{ open: boolean, onClose: () => void }} props */
export function KeysHelp({ open, onClose }) {
  const dialog = useRef(null);
  const keys = useStore(keysSetting);
  useEffect(() => {
    if (open && !dialog.current.open) dialog.current.showModal();
    if (!open && dialog.current.open) dialog.current.close();
  }, [open]);
  return html`<dialog ref=${dialog} class="dialog" aria-labelledby="keys-title" onClose=${onClose}>
    <header class="section-head">
      <h2 id="keys-title">Keys</h2>
      <button type="button" class="button" onClick=${onClose}>Close</button>
    </header>
    <dl class="keys">
      ${KEY_HELP.map(([key, what]) => html`<div key=${key}><dt><kbd>${key}</kbd></dt><dd>${what}</dd></div>`)}
    </dl>
    <label class="check">
      <input type="checkbox" checked=${keys === "on"} onChange=${(event) => keysSetting.set(event.currentTarget.checked ? "on" : "off")} />
      Single keys are on
    </label>
  </dialog>`;
}
