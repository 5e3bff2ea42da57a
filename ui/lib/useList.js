import { useCallback, useEffect, useRef, useState } from "./preact.js";
import { apiUrl, get } from "./api.js";
import { appendPage, mergeInPlace } from "./merge.js";
import { REFRESH_MS, startPoll } from "./useApi.js";

/** Items a fetch. */
export const PAGE_ITEMS = 200;

/** Lists of views that were left, so that Back finds its row again. */
const lastLists = new Map();
const LAST_LISTS_MAX = 6;

/**
 * @typedef {object} Listed
 * @property {any[]} items those loaded, in an order that changes only by `sortAgain`
 * @property {number | null} total how many match on the server
 * @property {boolean} loading before the first answer
 * @property {import("./api.js").ApiError | null} error
 * @property {number | null} staleSince
 * @property {number} fresh how many came since that are not shown
 * @property {boolean} moved whether the server's order is another one by now
 * @property {boolean} hasMore
 * @property {() => void} more loads the page that follows
 * @property {() => void} sortAgain takes the server's order
 */

const EMPTY = { items: [], total: null, next: null, error: null, staleSince: null, fresh: 0, moved: false, known: false };

/**
 * A sorted list of the API: pages of 200, figures refreshed in place, rows that keep their place.
 * @param {string} path below `/api/v1/`
 * @param {Record<string, any>} params `sort`, `q` and other filters
 * @param {(item: any) => string} idOf
 * @param {{ refreshMs?: number, pageItems?: number }} [options]
 * @returns {Listed}
 */
export function useList(path, params, idOf, { refreshMs = REFRESH_MS, pageItems = PAGE_ITEMS } = {}) {
  const key = apiUrl(path, { ...params, limit: pageItems });
  const [state, setState] = useState(() => initial(key));
  const poll = useRef(null);
  const latest = useRef(state);
  latest.current = state;

  useEffect(() => {
    setState((now) => (now.key === key ? now : initial(key)));
    poll.current = startPoll({
      ask: (signal) => get(path, { ...params, limit: pageItems }, { signal }),
      refreshMs,
      onAnswer: (answer) => setState((now) => answered(now, key, answer, idOf)),
      onError: (error) =>
        setState((now) => ({ ...now, error, staleSince: now.staleSince ?? (now.known ? Date.now() : null) })),
    });
    return () => {
      poll.current.stop();
      remember(latest.current);
    };
  }, [key, refreshMs]);

  const more = useCallback(async () => {
    const { next, key: asked } = latest.current;
    if (!next || latest.current.loadingMore) return;
    latest.current = { ...latest.current, loadingMore: true };
    setState((now) => ({ ...now, loadingMore: true }));
    try {
      const page = await get(path, { ...params, limit: pageItems, after: next });
      setState((now) => (now.key === asked ? appended(now, page, idOf) : now));
    } catch (error) {
      setState((now) => (now.key === asked ? { ...now, error, loadingMore: false } : now));
    }
  }, [key]);

  const sortAgain = useCallback(() => {
    setState((now) => ({ ...now, resort: true }));
    poll.current?.now();
  }, [key]);

  const current = state.key === key ? state : initial(key);
  return {
    items: current.items,
    total: current.total,
    loading: !current.known && current.error === null,
    error: current.error,
    staleSince: current.staleSince,
    fresh: current.fresh,
    moved: current.moved,
    hasMore: current.next !== null,
    more,
    sortAgain,
  };
}

const initial = (key) => lastLists.get(key) ?? { ...EMPTY, key };

function answered(now, key, answer, idOf) {
  const total = answer.total ?? null;
  const well = { key, total, known: true, error: null, staleSince: null };
  if (now.key !== key || !now.known || now.resort || now.items.length === 0) {
    return { ...EMPTY, ...well, items: answer.items, next: answer.next };
  }
  return { ...now, ...well, ...mergeInPlace(now.items, answer.items, idOf) };
}

function appended(now, page, idOf) {
  return { ...now, items: appendPage(now.items, page.items, idOf), next: page.next, loadingMore: false, error: null };
}

function remember(state) {
  if (!state.known) return;
  lastLists.delete(state.key);
  lastLists.set(state.key, { ...state, loadingMore: false });
  if (lastLists.size > LAST_LISTS_MAX) lastLists.delete(lastLists.keys().next().value);
}
