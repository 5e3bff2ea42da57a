import { html, useEffect } from "../../lib/preact.js";
import { Link } from "../../lib/router.js";
import { PhaseBar, Time } from "../../lib/parts.js";
import { SqlBlock } from "../../lib/sql.js";
import { count, ms } from "../../lib/words.js";

/** One query of the stream beside the list. @param {{ event: any, close: () => void }} props */
export function Panel({ event, close }) {
  useEffect(() => {
    const leave = (pressed) => {
      if (pressed.key !== "Escape") return;
      pressed.preventDefault();
      close();
    };
    addEventListener("keydown", leave, { capture: true });
    return () => removeEventListener("keydown", leave, { capture: true });
  }, []);
  return html`<aside class="panel" aria-label="The query that was chosen">
    <header class="section-head"><h2>${event.summary || event.operation}</h2><button type="button" class="button" onClick=${close}>Close</button></header>
    <div class="panel-body">
      <${PhaseBar} phases=${{ ...event.phases, application_ms: 0 }} legend />
      <dl class="facts">
        <dt>completed</dt><dd><${Time} at=${event.at} /></dd>
        <dt>took</dt><dd>${ms(event.duration_ms)}</dd>
        <dt>rows</dt><dd>${count(event.rows)}</dd>
        ${event.sqlstate && html`<dt>failed with</dt><dd class="bad">${event.sqlstate}</dd>`}
        <dt>application</dt><dd>${event.application || "–"}</dd>
        <dt>user, database</dt><dd>${event.user}, ${event.database}</dd>
        <dt>protocol</dt><dd>${event.protocol}</dd>
        <dt>shape</dt><dd><${Link} href=${`/queries/${event.fingerprint}`}>${event.fingerprint}<//></dd>
      </dl>
      <${SqlBlock} text=${event.query} label="Normalised SQL" />
    </div>
  </aside>`;
}
