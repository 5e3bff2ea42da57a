import { useCallback, useEffect, useRef, useState } from "./preact.js";
import { apiUrl, get } from "./api.js";
import { appendPage, mergeInPlace } from "./merge.js";
import { REFRESH_MS, startPoll, useApi } from "./useApi.js";

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
 * @property {boolean} pending whether `items` are those of the question before, until the new one is answered
 * @property {boolean} hasMore
 * @property {() => void} more loads the page that follows
 * @property {() => void} sortAgain takes the server's order
 */

/** Classes of what holds a list: muted while it is stale, under a thin bar while another one is asked for. @param {Listed} list */
export const listClass = (list) => `list${list.staleSince ? " stale" : ""}${list.pending ? " pending" : ""}`;

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
    setState((now) => entered(now, key));
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

  const current = entered(state, key);
  return {
    items: current.items,
    total: current.total,
    loading: !current.known && current.error === null,
    error: current.error,
    staleSince: current.staleSince,
    fresh: current.fresh,
    moved: current.moved,
    pending: Boolean(current.pending),
    hasMore: current.next !== null,
    more,
    sortAgain,
  };
}

const initial = (key) => lastLists.get(key) ?? { ...EMPTY, key };

/** After another sort or filter the rows before stay until the answer comes. */
function entered(now, key) {
  if (now.key === key) return now;
  const kept = lastLists.get(key);
  if (kept || !now.known) return kept ?? { ...EMPTY, key };
  return { ...now, key, next: null, fresh: 0, moved: false, pending: true, resort: true };
}

function answered(now, key, answer, idOf) {
  const total = answer.total ?? null;
  const well = { key, total, known: true, error: null, staleSince: null };
  if (now.key !== key || !now.known || now.resort || now.items.length === 0) {
    noteOrder(key, answer.items, idOf);
    return { ...EMPTY, ...well, items: answer.items, next: answer.next };
  }
  return { ...now, ...well, ...mergeInPlace(now.items, answer.items, idOf) };
}

/** Ids of the list that was looked at last, by its path: what stands before and after an item. */
const lastOrders = new Map();

function noteOrder(key, items, idOf) {
  lastOrders.set(pathOf(key), items.map(idOf));
}

const pathOf = (key) => key.split("?")[0];

/**
 * What stands before and after an item in the list it was opened from; opened directly, in the list as the server has it.
 * @param {string} path the list's, below `/api/v1/`
 * @param {string} id
 * @param {(item: any) => string} idOf
 * @param {Record<string, any>} [params] of the list, where the item was opened directly
 * @returns {{ before: string | null, after: string | null }}
 */
export function useNeighbours(path, id, idOf, params = {}) {
  const known = lastOrders.get(apiUrl(path));
  const { data } = useApi(known ? null : path, { ...params, limit: PAGE_ITEMS }, { refreshMs: 0 });
  const order = known ?? data?.items.map(idOf) ?? [];
  const place = order.indexOf(id);
  if (place < 0) return { before: null, after: null };
  return { before: order[place - 1] ?? null, after: order[place + 1] ?? null };
}

function appended(now, page, idOf) {
  return { ...now, items: appendPage(now.items, page.items, idOf), next: page.next, loadingMore: false, error: null };
}

function remember(state) {
  if (!state.known || state.pending) return;
  lastLists.delete(state.key);
  lastLists.set(state.key, { ...state, loadingMore: false });
  if (lastLists.size > LAST_LISTS_MAX) lastLists.delete(lastLists.keys().next().value);
}
