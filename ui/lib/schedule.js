/** Pauses between attempts while pgprism does not answer, milliseconds; the last one repeats. */
export const RETRY_MS = [1_000, 2_000, 5_000, 10_000];

/**
 * @param {number} failures attempts that failed in a row, from 1
 * @returns {number} milliseconds
 */
export function retryAfter(failures) {
  return RETRY_MS[Math.min(failures, RETRY_MS.length) - 1];
}
