import { html, useEffect, useState } from "../lib/preact.js";
import { navigate, useLocation, useQueryParams } from "../lib/router.js";
import { useStore } from "../lib/store.js";
import { liveness } from "../lib/live.js";
import { nextTheme, theme } from "../lib/settings.js";
import { clockMinutes } from "../lib/words.js";

/** Filter, live state, keys and theme. @param {{ route?: import("../lib/router.js").Route, onHelp: () => void }} props */
export function TopBar({ route, onHelp }) {
  const chosen = useStore(theme);
  return html`<header class="top-bar">
    <${Filter} route=${route} />
    <span class="top-tools">
      <${LiveState} />
      <button type="button" class="button quiet" aria-haspopup="dialog" onClick=${onHelp}><kbd>?</kbd><span class="wide-only"> keys</span></button>
      <button type="button" class="button quiet" onClick=${nextTheme} aria-label=${`Theme: ${chosen}. Change`}>
        <span aria-hidden="true">◐</span><span class="wide-only"> ${chosen}</span>
      </button>
    </span>
  </header>`;
}

const TYPING_MS = 200;

/** One field, one grammar; where a view is no list, Enter looks in the queries. */
function Filter({ route }) {
  const { path } = useLocation();
  const [{ q = "" }, change] = useQueryParams();
  const [text, setText] = useState(q);
  const inPlace = Boolean(route?.filter);

  useEffect(() => setText(q), [q, path]);
  useEffect(() => {
    if (!inPlace || text === q) return undefined;
    const timer = setTimeout(() => change({ q: text.trim() }), TYPING_MS);
    return () => clearTimeout(timer);
  }, [text, inPlace]);

  function submit(event) {
    event.preventDefault();
    if (inPlace) change({ q: text.trim() });
    else if (text.trim()) navigate(`/queries?q=${encodeURIComponent(text.trim())}`);
  }

  function leave(event) {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    if (text) setText("");
    else event.currentTarget.blur();
  }

  return html`<form role="search" class="filter" onSubmit=${submit}>
    <input id="filter" type="search" aria-label="Filter" autocomplete="off" spellcheck=${false} enterkeyhint="search"
      placeholder=${route?.filter ?? "Find queries"} value=${text}
      onInput=${(event) => setText(event.currentTarget.value)} onKeyDown=${leave} />
    <kbd aria-hidden="true">/</kbd>
  </form>`;
}

function LiveState() {
  const { state, since } = useStore(liveness);
  if (state === "live") return html`<span class="live live-on"><span aria-hidden="true">●</span> live</span>`;
  if (state === "connecting") return html`<span class="live"><span aria-hidden="true">○</span> connecting</span>`;
  return html`<span class="live live-off"><span aria-hidden="true">○</span> not live <span class="wide-only">since ${clockMinutes(since)}</span></span>`;
}
