import { html, useMemo, useState } from "./preact.js";
import { layOut, scan } from "./sql-text.js";
import { Copy } from "./copy.js";
import { bytes, plural } from "./words.js";

/** Longer texts are shown plain until somebody asks for colours. */
const PLAIN_ABOVE = 16_384;
/** Of a text on one line, as much as a wide screen can show. */
const LINE_CHARACTERS = 400;

/**
 * SQL with its words coloured, on one line.
 * @param {{ text: string }} props
 */
export function Sql({ text }) {
  const tokens = useMemo(() => scan(text.slice(0, LINE_CHARACTERS)), [text]);
  return html`<code class="sql">${tokens.map(drawToken)}</code>`;
}

/**
 * SQL in lines, with buttons to wrap and to copy the text as it came.
 * @param {{ text: string, label?: string }} props
 */
export function SqlBlock({ text, label = "SQL" }) {
  const [wrap, setWrap] = useState(true);
  const [colour, setColour] = useState(text.length <= PLAIN_ABOVE);
  if (!text) return html`<p class="muted">Its text was not kept.</p>`;
  return html`
    <div class="sql-block">
      <div class="sql-tools">
        ${!colour &&
        html`<button type="button" class="button" onClick=${() => setColour(true)}>Format ${bytes(text.length)}</button>`}
        <button type="button" class="button" aria-pressed=${wrap} onClick=${() => setWrap(!wrap)}>Wrap</button>
        <${Copy} text=${text} label="Copy SQL" />
      </div>
      <pre class="sql-lines" data-wrap=${wrap} tabindex="0" role="region" aria-label=${label}><code class="sql">${
        colour ? html`<${Lines} text=${text} />` : text
      }</code></pre>
    </div>
  `;
}

function Lines({ text }) {
  const lines = useMemo(() => layOut(text), [text]);
  return lines.map((line, index) => html`<${Line} key=${index} line=${line} />`);
}

function Line({ line }) {
  const [open, setOpen] = useState(false);
  const indent = " ".repeat(Math.round(line.indent * 4));
  const folded = line.columns > 0 && !open;
  const unfold = () => setOpen(true);
  return html`<span class="sql-line">${indent}${
    folded
      ? html`${drawToken(line.tokens[0])} <button type="button" class="fold" onClick=${unfold}>… ${plural(line.columns, "column")}</button>`
      : line.tokens.map(drawToken)
  }${"\n"}</span>`;
}

const PLAIN = new Set(["space", "mark", "identifier", "number"]);

function drawToken({ kind, text }, index) {
  return PLAIN.has(kind) ? text : html`<span key=${index} class=${`sql-${kind}`}>${text}</span>`;
}
