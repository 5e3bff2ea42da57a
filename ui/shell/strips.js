import { html } from "../lib/preact.js";
import { useStore } from "../lib/store.js";
import { liveness, summary } from "../lib/live.js";
import { clockMinutes } from "../lib/words.js";
import { degradedInWords } from "../lib/degraded.js";

/** What the reader has to know before believing the figures: one strip, one line a reason. */
export function Strips() {
  const { state, since } = useStore(liveness);
  const now = useStore(summary);
  const lines = [];
  if (state === "lost") lines.push(`Not live since ${clockMinutes(since)}. Trying again.`);
  for (const { upstream, upstream_up: up, name } of now?.listeners ?? []) {
    if (up === false) lines.push(`PostgreSQL at ${upstream} does not answer (listener ${name}).`);
  }
  if (now) lines.push(...degradedInWords(now));
  if (lines.length === 0) return null;
  return html`<aside class="strip" aria-label="What to know about these figures">
    <ul>${lines.map((line) => html`<li key=${line}>${line}</li>`)}</ul>
  </aside>`;
}
