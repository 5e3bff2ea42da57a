/**
 * Fresh items put in the places of those that are shown: nothing moves by itself.
 *
 * @template T
 * @param {T[]} shown in the order of the screen
 * @param {T[]} fetched in the server's order
 * @param {(item: T) => string} idOf
 * @returns {{ items: T[], fresh: number, moved: boolean }} `fresh`: how many came that are not shown;
 *   `moved`: whether those that are shown stand in another order on the server
 */
export function mergeInPlace(shown, fetched, idOf) {
  const places = new Map(shown.map((item, index) => [idOf(item), index]));
  const items = [...shown];
  let fresh = 0;
  let moved = false;
  let furthest = -1;
  for (const item of fetched) {
    const place = places.get(idOf(item));
    if (place === undefined) {
      fresh += 1;
      continue;
    }
    items[place] = item;
    if (place < furthest) moved = true;
    else furthest = place;
  }
  return { items, fresh, moved };
}

/**
 * A further page behind those that are shown, without what moved there from the pages before.
 *
 * @template T
 * @param {T[]} shown
 * @param {T[]} page
 * @param {(item: T) => string} idOf
 * @returns {T[]}
 */
export function appendPage(shown, page, idOf) {
  const known = new Set(shown.map(idOf));
  return [...shown, ...page.filter((item) => !known.has(idOf(item)))];
}
