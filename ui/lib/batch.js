/** How often queries are passed on, milliseconds; a hidden tab may be slower. */
export const BATCH_MS = 200;
/** How many are passed on in a second at most. */
export const ITEMS_A_SECOND = 50;

/**
 * Queries in batches: at most 50 a second are passed on, the rest is counted.
 * @param {(batch: { items: any[], seen: number }) => void} pass items oldest first; `seen` counts those left out too
 * @returns {{ add: (query: any) => void, stop: () => void }}
 */
export function createBatcher(pass) {
  let items = [];
  let seen = 0;
  let timer = 0;
  let second = { began: 0, items: 0 };

  function hasRoom() {
    const now = Date.now();
    if (now - second.began >= 1_000) second = { began: now, items: 0 };
    second.items += 1;
    return second.items <= ITEMS_A_SECOND;
  }

  function flush() {
    timer = 0;
    const batch = { items, seen };
    items = [];
    seen = 0;
    pass(batch);
  }

  return {
    add(query) {
      seen += 1 + (query.missed ?? 0);
      if (hasRoom()) items.push(query);
      if (!timer) timer = setTimeout(flush, BATCH_MS);
    },
    stop() {
      clearTimeout(timer);
    },
  };
}
