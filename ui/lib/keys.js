import { keysSetting, nextTheme } from "./settings.js";
import { leaveTo, navigate } from "./router.js";

/** Views by the letter that follows `g`. */
const PLACES = { o: "/", f: "/findings", r: "/requests", q: "/queries", c: "/connections", l: "/live" };
const CHORD_MS = 1_500;

/** What `?` lists. @type {[string, string][]} */
export const KEY_HELP = [
  ["g o, g f, g r", "Overview, Findings, Requests"],
  ["g q, g c, g l", "Queries, Connections, Live"],
  ["/", "filter"],
  ["j k, ↓ ↑", "next and previous row"],
  ["Enter, Esc", "open, back"],
  ["[ ]", "previous and next item"],
  ["c", "copy"],
  ["m", "mute a finding"],
  ["s", "sort again"],
  ["u", "show new"],
  ["p", "pause Live"],
  ["t", "theme"],
  ["?", "this list"],
];

let chordUntil = 0;

/**
 * Single keys for what the page can do. A control with `data-key="x"` is pressed by x.
 * @param {{ help: () => void }} actions
 */
export function startKeys({ help }) {
  addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || inField(event.target)) return;
    if (keysSetting.get() === "off" && event.key !== "Escape" && !event.key.startsWith("Arrow")) return;
    if (pressed(event.key, help)) event.preventDefault();
  });
}

const inField = (target) => Boolean(target.closest?.("input, textarea, select, [contenteditable], dialog"));

function pressed(key, help) {
  if (Date.now() < chordUntil && PLACES[key]) {
    chordUntil = 0;
    navigate(PLACES[key]);
    return true;
  }
  if (key === "g") chordUntil = Date.now() + CHORD_MS;
  else if (key === "/") document.getElementById("filter")?.focus();
  else if (key === "?") help();
  else if (key === "t") nextTheme();
  else if (key === "j" || key === "ArrowDown") return moveRow(1);
  else if (key === "k" || key === "ArrowUp") return moveRow(-1);
  else if (key === "Escape") return leave();
  else if (key === "c") return press("#content [data-copy]");
  else if (/^[a-z[\]]$/.test(key)) return press(`[data-key="${key}"]`);
  else return false;
  return true;
}

function press(selector) {
  const control = document.querySelector(selector);
  control?.click();
  return Boolean(control);
}

/** Moves the focus to the first control of the next row; arrows scroll as ever while no row has it. */
function moveRow(step) {
  if (document.activeElement?.closest("[role=treegrid], [role=application]")) return false;
  const rows = [...document.querySelectorAll("#content [data-row]")];
  const now = rows.indexOf(document.activeElement?.closest("[data-row]"));
  const row = rows[now < 0 ? 0 : now + step];
  const link = row?.querySelector("a, button");
  link?.focus();
  return Boolean(link);
}

/** From one item back to where it was opened, or to its list. */
function leave() {
  const [, list, item] = location.pathname.split("/");
  if (!item) return false;
  leaveTo(`/${list}`);
  return true;
}
