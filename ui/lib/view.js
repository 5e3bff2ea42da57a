import { html, useEffect, useRef } from "./preact.js";
import { createStore, useStore } from "./store.js";
import { takeReturn } from "./router.js";

/** Goes up by one each time somebody goes to another view: the focus follows once. */
export const arrivals = createStore(0);

/**
 * One view: `<main>` with its `h1`, the title of the tab, and the focus on arrival.
 * @param {{ name: string, title: string, tab?: string, aside?: any, children: any }} props
 *   `name`: for `data-view`; `tab`: the tab's title where it says more than the `h1`; `aside`: controls beside the `h1`
 */
export function View({ name, title, tab = title, aside, children }) {
  const heading = useRef(null);
  const arrival = useStore(arrivals);
  useEffect(() => {
    document.title = `${tab} · pgprism`;
  }, [tab]);
  useEffect(() => {
    if (arrival > 0) focusOnArrival(heading.current);
  }, [arrival]);
  return html`<main id="content" data-view=${name}>
    <header class="view-head"><h1 ref=${heading} tabindex="-1">${title}</h1>${aside}</header>
    ${children}
  </main>`;
}

/** The row that was left, if it comes to stand again within two seconds; else the heading. */
function focusOnArrival(heading) {
  const wanted = takeReturn();
  heading.focus({ preventScroll: true });
  if (!wanted) {
    scrollTo(0, 0);
    return;
  }
  const find = () => document.querySelector(`[data-row="${CSS.escape(wanted.row)}"] a`);
  const settle = () => {
    scrollTo(0, wanted.top);
    const link = find();
    if (!link) return false;
    link.focus({ preventScroll: true });
    return true;
  };
  if (settle()) return;
  const observer = new MutationObserver(() => settle() && observer.disconnect());
  observer.observe(document.getElementById("app"), { childList: true, subtree: true });
  setTimeout(() => observer.disconnect(), 2_000);
}
