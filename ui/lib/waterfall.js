/**
 * One unit of work as the rows of a waterfall: statements, groups of equal shape, and the application's gaps.
 *
 * Pure: JSON of `/api/v1/units/{id}` in, plain data out. Times are milliseconds from the start of the unit.
 */

/** Statements of one shape under one parent that are shown as one row, from this many on. */
export const GROUP_MIN = 3;
/** A gap of the application is drawn from this long on, or from the share below. */
const GAP_MS_MIN = 2;
const GAP_SHARE_MIN = 0.01;
/** What `>1 %` keeps. */
const LARGE_SHARE_MIN = 0.01;

/**
 * @typedef {object} Statement
 * @property {"statement"} kind
 * @property {string} id
 * @property {number} index its place in the timeline
 * @property {number} startMs
 * @property {number} endMs
 * @property {number} durationMs database, transfer and client together
 * @property {{database_ms: number, transfer_ms: number, client_ms: number}} phases
 * @property {number} rows
 * @property {string | null} sqlstate
 * @property {string} fingerprint
 * @property {string} query
 * @property {number | null} parent place in the timeline of the statement whose rows gave it its values
 * @property {number | null} origin the nearest one above it of another shape: each step of a walk names the next
 * @property {number} depth how many shapes are above it
 * @property {number | null} transaction number of the transaction that it lies in
 *
 * @typedef {object} Gap
 * @property {"application"} kind
 * @property {number | null} transaction of the statements on both sides, where it is the same
 * @property {string} id
 * @property {number} startMs
 * @property {number} endMs
 * @property {number} durationMs
 *
 * @typedef {object} Group
 * @property {"group"} kind
 * @property {string} id
 * @property {Statement[]} members in order of their start
 * @property {(Statement | Gap)[]} children the members and the gaps between them
 * @property {number} startMs of the first member
 * @property {number} endMs of the member that ended last
 * @property {number} durationMs from the one to the other
 * @property {number} sumMs of the members' durations
 * @property {number} eachMs the median of them
 * @property {number} rows
 * @property {number} errors
 * @property {string} fingerprint
 * @property {string} query
 * @property {number} depth how many shapes are above it
 * @property {number | null} transaction of all members, where it is the same
 *
 * @typedef {Statement | Gap | Group} Item
 *
 * @typedef {object} Waterfall
 * @property {number} durationMs of the unit
 * @property {Statement[]} statements in order of the timeline
 * @property {Item[]} items in order of their start
 * @property {Gap[]} gaps all that are drawn, those inside groups too
 */

/**
 * The waterfall of a unit.
 *
 * @param {object} unit as the API has it
 * @param {{grouped?: boolean}} options
 * @returns {Waterfall}
 */
export function waterfall(unit, { grouped = true } = {}) {
  const statements = placed(unit.timeline.map(statement));
  const ends = statements.reduce((latest, { endMs }) => Math.max(latest, endMs), 0);
  const durationMs = Math.max(unit.duration_ms, ends);
  const ordered = [...statements].sort((a, b) => a.startMs - b.startMs || a.index - b.index);
  const gaps = gapsBefore(ordered, Math.min(GAP_MS_MIN, durationMs * GAP_SHARE_MIN));
  const groups = grouped ? groupsOf(statements) : new Map();
  return {
    durationMs,
    statements,
    items: arranged(ordered, gaps, groups),
    gaps: [...gaps.values()],
  };
}

/** @returns {Statement} */
function statement(entry, index) {
  const { database_ms, transfer_ms, client_ms } = entry.phases;
  const durationMs = database_ms + transfer_ms + client_ms;
  return {
    kind: "statement",
    id: `s${index}`,
    index,
    startMs: entry.at_ms,
    endMs: entry.at_ms + durationMs,
    durationMs,
    phases: { database_ms, transfer_ms, client_ms },
    rows: entry.rows,
    sqlstate: entry.sqlstate,
    fingerprint: entry.fingerprint,
    query: entry.query,
    // A statement that names itself or a later one as its parent would make a circle.
    parent: entry.parent_index !== null && entry.parent_index < index ? entry.parent_index : null,
    transaction: entry.transaction ?? null,
  };
}

/** Fills in what is above each statement. */
function placed(statements) {
  for (const one of statements) {
    const parent = one.parent === null ? null : statements[one.parent];
    one.origin = parent && parent.fingerprint === one.fingerprint ? parent.origin : one.parent;
    one.depth = one.origin === null ? 0 : statements[one.origin].depth + 1;
  }
  return statements;
}

/**
 * The gaps in which no statement ran, by the index of the statement that ended each.
 *
 * @param {Statement[]} ordered by their start
 * @param {number} msMin
 * @returns {Map<number, Gap>}
 */
function gapsBefore(ordered, msMin) {
  const gaps = new Map();
  let endMs = 0;
  let before = null;
  for (const next of ordered) {
    const durationMs = next.startMs - endMs;
    if (durationMs > 0 && durationMs >= msMin) {
      gaps.set(next.index, {
        kind: "application",
        id: `a${next.index}`,
        startMs: endMs,
        endMs: next.startMs,
        durationMs,
        transaction: before === next.transaction ? before : null,
      });
    }
    before = next.transaction;
    endMs = Math.max(endMs, next.endMs);
  }
  return gaps;
}

/**
 * Which group each statement belongs to, by its index; statements outside of groups are missing.
 *
 * A parent that is itself in a group stands for its whole group: the loop inside a loop is one row too.
 *
 * @param {Statement[]} statements
 * @returns {Map<number, Statement[]>}
 */
function groupsOf(statements) {
  const groupOf = new Map();
  const place = ({ origin }) => {
    const around = groupOf.get(origin);
    return around ? `group of ${around[0].index}` : `${origin}`;
  };
  const levels = groupBy(statements, ({ depth }) => depth);
  for (const depth of [...levels.keys()].sort((a, b) => a - b)) {
    const alike = groupBy(levels.get(depth), (one) => `${one.fingerprint} ${place(one)}`);
    for (const members of alike.values()) {
      if (members.length < GROUP_MIN) continue;
      for (const { index } of members) groupOf.set(index, members);
    }
  }
  return groupOf;
}

/**
 * @template T
 * @param {T[]} items
 * @param {(item: T) => unknown} keyOf
 * @returns {Map<unknown, T[]>}
 */
function groupBy(items, keyOf) {
  const found = new Map();
  for (const item of items) {
    const key = keyOf(item);
    const alike = found.get(key);
    if (alike) alike.push(item);
    else found.set(key, [item]);
  }
  return found;
}

/**
 * Rows in order of their start. A gap stands before the statement that ended it: between the members of a group if
 * that statement is a later member.
 *
 * @returns {Item[]}
 */
function arranged(ordered, gaps, groupOf) {
  const items = [];
  const opened = new Map();
  for (const one of ordered) {
    const gap = gaps.get(one.index);
    const members = groupOf.get(one.index);
    const open = members && opened.get(members);
    const into = open ? open.children : items;
    if (gap) into.push(gap);
    if (open) {
      open.children.push(one);
      open.members.push(one);
    } else if (members) {
      const group = { kind: "group", id: `g${one.index}`, members: [one], children: [one] };
      opened.set(members, group);
      items.push(group);
    } else {
      items.push(one);
    }
  }
  for (const group of opened.values()) complete(group);
  return items;
}

/** Figures of a group whose members are known. */
function complete(group) {
  const { members } = group;
  const durations = members.map(({ durationMs }) => durationMs).sort((a, b) => a - b);
  group.startMs = members[0].startMs;
  group.endMs = members.reduce((latest, { endMs }) => Math.max(latest, endMs), 0);
  group.durationMs = group.endMs - group.startMs;
  group.sumMs = durations.reduce((sum, ms) => sum + ms, 0);
  group.eachMs = median(durations);
  group.rows = members.reduce((sum, { rows }) => sum + rows, 0);
  group.errors = members.filter(({ sqlstate }) => sqlstate !== null).length;
  group.fingerprint = members[0].fingerprint;
  group.query = members[0].query;
  group.depth = members[0].depth;
  const { transaction } = members[0];
  group.transaction = members.every((member) => member.transaction === transaction) ? transaction : null;
}

/** @param {number[]} sorted not empty */
function median(sorted) {
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/**
 * @typedef {object} Row
 * @property {Item} item
 * @property {number} level 1, or 2 inside a group
 * @property {string | null} within the id of its group
 * @property {boolean | null} expanded null where there is nothing to expand
 * @property {number} position among its siblings, from 1
 * @property {number} siblings itself included
 * @property {"only" | "first" | "inside" | "last" | null} rail its place among the rows of its transaction
 *
 * @typedef {object} Shown
 * @property {Row[]} rows
 * @property {number} hidden rows that `onlyLarge` left out
 */

/**
 * The rows that are shown, in order.
 *
 * @param {Waterfall} fall
 * @param {{expanded: Set<string>, onlyLarge?: boolean}} options ids of the groups that are open; only what took 1 %
 * @returns {Shown}
 */
export function shownRows(fall, { expanded, onlyLarge = false }) {
  const keeps = (item) => !onlyLarge || isLarge(item, fall.durationMs);
  const rows = [];
  let hidden = 0;
  const add = (items, level, within) => {
    const kept = items.filter(keeps);
    hidden += items.length - kept.length;
    kept.forEach((item, at) => {
      const isGroup = item.kind === "group";
      const isOpen = isGroup && expanded.has(item.id);
      rows.push({
        item,
        level,
        within,
        expanded: isGroup ? isOpen : null,
        position: at + 1,
        siblings: kept.length,
      });
      if (isOpen) add(item.children, level + 1, item.id);
    });
  };
  add(fall.items, 1, null);
  return { rows: withRails(rows), hidden };
}

/** Says of each row whether a transaction goes on in the rows around it. */
function withRails(rows) {
  const of = (at) => rows[at]?.item.transaction ?? null;
  return rows.map((row, at) => {
    const own = of(at);
    if (own === null) return { ...row, rail: null };
    const above = of(at - 1) === own;
    const below = of(at + 1) === own;
    const rail = above ? (below ? "inside" : "last") : below ? "first" : "only";
    return { ...row, rail };
  });
}

/** Errors stay, however short. */
function isLarge(item, unitMs) {
  if (item.kind === "group") return item.errors > 0 || item.sumMs >= unitMs * LARGE_SHARE_MIN;
  return Boolean(item.sqlstate) || item.durationMs >= unitMs * LARGE_SHARE_MIN;
}

/**
 * The id of the row that shows a statement: its own, or its group's while that is closed.
 *
 * @param {Row[]} rows
 * @param {number} index place in the timeline
 * @returns {string | null}
 */
export function rowOf(rows, index) {
  const own = rows.find(({ item }) => item.kind === "statement" && item.index === index);
  if (own) return own.item.id;
  const around = rows.find(
    ({ item }) => item.kind === "group" && item.members.some((member) => member.index === index),
  );
  return around ? around.item.id : null;
}
