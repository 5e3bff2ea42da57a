import { html, useEffect, useRef, useState } from "./preact.js";
import { announce } from "./announce.js";

const SAID_MS = 2_500;

/**
 * A button that copies `text`. Outside a secure context it selects the text and says which keys to press.
 * @param {{ text: string, label?: string, compact?: boolean, name?: string }} props
 *   `name`: the accessible name, where the label alone does not say what is copied
 */
export function Copy({ text, label = "Copy", compact = false, name }) {
  const [said, setSaid] = useState("");
  const field = useRef(null);
  useEffect(() => {
    if (said !== "Copied") return undefined;
    const timer = setTimeout(() => setSaid(""), SAID_MS);
    return () => clearTimeout(timer);
  }, [said]);
  useEffect(() => {
    if (said === "Press Ctrl+C") field.current?.select();
  }, [said]);

  async function copy(event) {
    event.stopPropagation();
    const word = (await written(text)) ? "Copied" : "Press Ctrl+C";
    setSaid(word);
    announce(word);
  }

  return html`<span class="copy">
    ${said === "Press Ctrl+C" &&
    html`<textarea ref=${field} class="copy-field" readonly rows="1" aria-label="Text to copy" value=${text} onBlur=${() => setSaid("")}></textarea>`}
    <button type="button" class=${compact ? "button small" : "button"} data-copy onClick=${copy} aria-label=${said ? undefined : name}>
      ${said || label}
    </button>
  </span>`;
}

async function written(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}
