import { html, useEffect, useState } from "../lib/preact.js";
import { Link, useLocation } from "../lib/router.js";
import { useStore } from "../lib/store.js";
import { summary } from "../lib/live.js";
import { useNarrow } from "../lib/media.js";
import { count, plural } from "../lib/words.js";
import { menu } from "../routes.js";

const IN_BAR = 4;

/** The rail at the left; on a narrow page the bar at the bottom. @param {{ active?: string }} props */
export function Menu({ active }) {
  const narrow = useNarrow();
  const open = useStore(summary)?.findings_open ?? 0;
  const entry = ({ href, label }) => html`<li key=${href}>
    <${Link} href=${href} class="menu-entry" aria-current=${href === active ? "page" : undefined}>
      ${label}
      ${href === "/findings" && open > 0 && html`<span class="badge" aria-label=${`${plural(open, "finding")} open`}>${count(open)}</span>`}
    <//>
  </li>`;
  if (!narrow) {
    return html`<nav class="rail" aria-label="Views">
      <p class="brand">pgprism</p>
      <ul>${menu.map(entry)}</ul>
    </nav>`;
  }
  return html`<nav class="bar" aria-label="Views">
    <ul>
      ${menu.slice(0, IN_BAR).map(entry)}
      <li><${More} entries=${menu.slice(IN_BAR).map(entry)} active=${menu.slice(IN_BAR).some(({ href }) => href === active)} /></li>
    </ul>
  </nav>`;
}

function More({ entries, active }) {
  const [open, setOpen] = useState(false);
  const { path } = useLocation();
  useEffect(() => setOpen(false), [path]);
  return html`
    <button type="button" class="menu-entry" aria-expanded=${open} data-active=${active} onClick=${() => setOpen(!open)}>More</button>
    ${open && html`<ul class="more">${entries}</ul>`}
  `;
}
