/** How often queries are passed on, milliseconds, and how many of them at most: 50 a second. */
export const BATCH_MS = 200;
export const BATCH_ITEMS = 10;

/**
 * Queries in batches: at most 50 a second are passed on, the rest is counted.
 * @param {(batch: { items: any[], seen: number }) => void} pass newest last
 * @returns {{ add: (query: any) => void, stop: () => void }}
 */
export function createBatcher(pass) {
  let items = [];
  let seen = 0;
  let timer = 0;

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
      if (items.length < BATCH_ITEMS) items.push(query);
      if (!timer) timer = setTimeout(flush, BATCH_MS);
    },
    stop() {
      clearTimeout(timer);
    },
  };
}
