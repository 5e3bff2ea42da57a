import { passes } from "../../lib/filter.js";

/** Queries that are kept to scroll through. */
export const KEPT = 500;

/**
 * @typedef {{ items: any[], seen: number, passed: number }} Tape
 *   `items`: newest first, each with a `key` that grows; `passed`: how many of `seen` passed the filter
 */

/** @returns {Tape} */
export const emptyTape = () => ({ items: [], seen: 0, passed: 0 });

/**
 * @param {Tape} tape
 * @param {import("../../lib/live.js").QueryBatch} batch
 * @param {import("../../lib/filter.js").Filter} filter
 * @returns {Tape}
 */
export function addBatch(tape, batch, filter) {
  const passing = batch.items.filter((event) => passes(filter, event));
  const keyed = passing.map((event, index) => ({ ...event, key: tape.passed + index + 1 }));
  return {
    items: [...keyed.reverse(), ...tape.items].slice(0, KEPT),
    seen: tape.seen + batch.seen,
    passed: tape.passed + passing.length,
  };
}
