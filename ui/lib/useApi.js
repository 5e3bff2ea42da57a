import { useEffect, useRef, useState } from "./preact.js";
import { apiUrl, get } from "./api.js";
import { isReading } from "./reading.js";
import { retryAfter } from "./schedule.js";

/** How often figures refresh in place, milliseconds. */
export const REFRESH_MS = 2_000;

/** Answers of views that were left: they stand at once on return, until fresh ones come. */
const lastAnswers = new Map();
const LAST_ANSWERS_MAX = 24;

/**
 * @typedef {object} Asked
 * @property {any} data the last answer, also while a newer one fails; null before the first
 * @property {import("./api.js").ApiError | null} error why the last attempt failed
 * @property {boolean} loading before the first answer
 * @property {number | null} staleSince when `data` stopped being fresh, milliseconds since 1970
 * @property {() => void} reload
 */

/**
 * Asks for `path` and keeps the answer fresh; the last figures stay while a question is open or fails.
 * @param {string | null} path below `/api/v1/`; null asks nothing
 * @param {Record<string, any>} [params]
 * @param {{ refreshMs?: number }} [options] 0 asks once
 * @returns {Asked}
 */
export function useApi(path, params, { refreshMs = REFRESH_MS } = {}) {
  const key = path === null ? null : apiUrl(path, params);
  const [state, setState] = useState(() => initial(key));
  const reload = useRef(() => {});

  useEffect(() => {
    if (key === null) return undefined;
    setState(initial(key));
    const poll = startPoll({
      ask: (signal) => get(path, params, { signal }),
      refreshMs,
      onAnswer(data) {
        remember(key, data);
        setState({ key, data, error: null, staleSince: null });
      },
      onError(error) {
        setState((now) => ({ ...now, error, staleSince: now.staleSince ?? (now.data ? Date.now() : null) }));
      },
    });
    reload.current = poll.now;
    return poll.stop;
  }, [key, refreshMs]);

  const current = state.key === key ? state : initial(key);
  return {
    data: current.data,
    error: current.error,
    staleSince: current.staleSince,
    loading: key !== null && current.data === null && current.error === null,
    reload: () => reload.current(),
  };
}

const initial = (key) => ({ key, data: lastAnswers.get(key) ?? null, error: null, staleSince: null });

function remember(key, data) {
  lastAnswers.delete(key);
  lastAnswers.set(key, data);
  if (lastAnswers.size > LAST_ANSWERS_MAX) lastAnswers.delete(lastAnswers.keys().next().value);
}

/**
 * Asks now and again: after `refreshMs` while all is well and the tab is visible, sooner and later while it fails.
 * @param {{ ask: (signal: AbortSignal) => Promise<any>, refreshMs: number,
 *           onAnswer: (data: any) => void, onError: (error: any) => void }} options
 * @returns {{ now: () => void, stop: () => void }}
 */
export function startPoll({ ask, refreshMs, onAnswer, onError }) {
  const abort = new AbortController();
  let timer = 0;
  let failures = 0;
  let asking = false;

  async function once() {
    clearTimeout(timer);
    if (asking || abort.signal.aborted) return;
    asking = true;
    try {
      const data = await ask(abort.signal);
      if (abort.signal.aborted) return;
      failures = 0;
      onAnswer(data);
    } catch (error) {
      if (abort.signal.aborted) return;
      failures += 1;
      onError(error);
    } finally {
      asking = false;
    }
    schedule();
  }

  function schedule() {
    if (failures > 0) timer = setTimeout(once, retryAfter(failures));
    else if (refreshMs > 0) timer = setTimeout(refresh, refreshMs);
  }

  function refresh() {
    if (document.hidden || isReading()) timer = setTimeout(refresh, refreshMs);
    else once();
  }

  once();
  return {
    now: once,
    stop() {
      clearTimeout(timer);
      abort.abort();
    },
  };
}
