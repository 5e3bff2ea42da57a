import { html, useCallback, useMemo } from "./preact.js";
import { createStore, useStore } from "./store.js";

/**
 * @typedef {{ path: string, search: string }} Location
 * @typedef {{ pattern: string, [key: string]: any }} Route
 */

const here = () =>
  typeof location === "undefined" ? { path: "/", search: "" } : { path: location.pathname, search: location.search };

/** Where the page is. @type {import("./store.js").Store<Location>} */
const place = createStore(here());

/** The row that was left for the view that is left now. @type {{ row: string, top: number } | null} */
let returning = null;

/** Starts to follow the browser's back and forward buttons. */
export function startRouter() {
  history.scrollRestoration = "manual";
  addEventListener("popstate", (event) => {
    returning = event.state?.left ?? null;
    opened = Math.max(0, opened - 1);
    place.set(here());
  });
}

/** Where the focus was when this view was left, once. */
export function takeReturn() {
  const taken = returning;
  returning = null;
  return taken;
}

/**
 * Goes to another view, or changes the query of this one.
 * @param {string} href path and query of this page
 * @param {{ replace?: boolean }} [options] `replace`: without an entry in the history
 */
export function navigate(href, { replace = false } = {}) {
  if (href === location.pathname + location.search) return;
  if (replace) history.replaceState(history.state, "", href);
  else {
    const row = document.activeElement?.closest("[data-row]")?.dataset.row;
    if (row) history.replaceState({ left: { row, top: scrollY } }, "");
    history.pushState(null, "", href);
    opened += 1;
  }
  returning = null;
  place.set(here());
}

/** Views that were opened from this page: Back stays inside it while there is one. */
let opened = 0;

/** Back to where this view was opened from, or to `list` where it was opened directly. @param {string} list */
export function leaveTo(list) {
  if (opened > 0) history.back();
  else navigate(list);
}

/** @returns {Location} */
export function useLocation() {
  return useStore(place);
}

/**
 * A link within the page: an ordinary `<a>` for everything but a plain click.
 * @param {{ href: string, children?: any, [attribute: string]: any }} props
 */
export function Link({ href, children, onClick, ...rest }) {
  const follow = (event) => {
    onClick?.(event);
    if (event.defaultPrevented || event.button !== 0) return;
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey || rest.target) return;
    event.preventDefault();
    navigate(href);
  };
  return html`<a ...${rest} href=${href} onClick=${follow}>${children}</a>`;
}

/**
 * The first route whose pattern fits, with the values of its `:names`.
 * @param {Route[]} routes
 * @param {string} path
 * @returns {{ route: Route, params: Record<string, string> } | null}
 */
export function matchRoute(routes, path) {
  const parts = segments(path);
  for (const route of routes) {
    const params = matchSegments(segments(route.pattern), parts);
    if (params) return { route, params };
  }
  return null;
}

const segments = (path) => path.split("/").filter(Boolean);

function matchSegments(pattern, parts) {
  if (pattern.length !== parts.length) return null;
  const params = {};
  for (const [index, expected] of pattern.entries()) {
    if (expected.startsWith(":")) params[expected.slice(1)] = decodePart(parts[index]);
    else if (expected !== parts[index]) return null;
  }
  return params;
}

function decodePart(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/**
 * `search` with some parameters set, or removed where the value is empty.
 * @param {string} search with or without its `?`
 * @param {Record<string, string | number | null | undefined>} changes
 * @returns {string} with its `?`, or empty
 */
export function withParams(search, changes) {
  const params = new URLSearchParams(search);
  for (const [name, value] of Object.entries(changes)) {
    if (value === null || value === undefined || value === "") params.delete(name);
    else params.set(name, String(value));
  }
  const query = params.toString();
  return query ? `?${query}` : "";
}

/**
 * The query string as state. Changes replace the history's entry, so that Back leaves the view.
 * @returns {[Record<string, string>, (changes: Record<string, string | number | null | undefined>) => void]}
 */
export function useQueryParams() {
  const { search } = useLocation();
  const params = useMemo(() => Object.fromEntries(new URLSearchParams(search)), [search]);
  const change = useCallback((changes) => {
    navigate(location.pathname + withParams(location.search, changes), { replace: true });
  }, []);
  return [params, change];
}
