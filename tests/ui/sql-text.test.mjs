import assert from "node:assert/strict";
import test from "node:test";
import { layOut, scan, shapeTail } from "../../ui/lib/sql-text.js";

const kinds = (sql) => scan(sql).filter(({ kind }) => kind !== "space").map(({ kind, text }) => `${kind}:${text}`);
const lines = (sql) => layOut(sql).map(({ indent, tokens }) => " ".repeat(indent * 2) + tokens.map(({ text }) => text).join(""));

test("tokens together are the text, whatever it is", () => {
  const texts = [
    "", "SELECT 1", "SELECT 'it''s' -- comment\nFROM \"a\"\"b\"", "/* open", "'open", '"open', "$1 $body ? %s %", "a\u00e9\u4e16 ☃ \\", "SELECT($1)::int",
  ];
  for (const text of texts) assert.equal(scan(text).map((token) => token.text).join(""), text);
});

test("words have kinds", () => {
  assert.deepEqual(kinds("SELECT COUNT(*) FROM \"t\" WHERE id = $1 /* c */"), [
    "keyword:SELECT", "function:COUNT", "mark:(", "mark:*", "mark:)", "keyword:FROM", 'identifier:"t"', "keyword:WHERE",
    "identifier:id", "mark:=", "string:$1", "comment:/* c */",
  ]);
});

test("a clause stands on a line of its own, AND and OR too", () => {
  assert.deepEqual(lines("SELECT a FROM t LEFT OUTER JOIN u ON t.id = u.id WHERE a = $1 AND (b = $2 OR c = $3) ORDER BY a LIMIT $4"), [
    "SELECT a", "FROM t", "LEFT OUTER JOIN u ON t.id = u.id", "WHERE a = $1", " AND (b = $2 OR c = $3)", "ORDER BY a", "LIMIT $4",
  ]);
});

test("BETWEEN keeps its AND", () => {
  assert.deepEqual(lines("SELECT a FROM t WHERE a BETWEEN $1 AND $2 AND b = $3"), ["SELECT a", "FROM t", "WHERE a BETWEEN $1 AND $2", " AND b = $3"]);
});

test("a subquery is indented by two spaces a level", () => {
  assert.deepEqual(lines("SELECT a FROM (SELECT b FROM t WHERE c = $1) sub WHERE d IN ($2, $3)"), [
    "SELECT a", "FROM (", "  SELECT b", "  FROM t", "  WHERE c = $1", ") sub", "WHERE d IN ($2, $3)",
  ]);
});

test("changes: UPDATE, INSERT and DELETE", () => {
  assert.deepEqual(lines("UPDATE t SET a = $1 WHERE id = $2 RETURNING id"), ["UPDATE t", "SET a = $1", "WHERE id = $2", "RETURNING id"]);
  assert.deepEqual(lines("INSERT INTO t (a, b) VALUES ($1, $2)"), ["INSERT INTO t (a, b)", "VALUES ($1, $2)"]);
  assert.deepEqual(lines("DELETE FROM t WHERE id = $1"), ["DELETE", "FROM t", "WHERE id = $1"]);
});

test("a long select list can be folded, a short one cannot", () => {
  const columns = (number) => layOut(`SELECT ${Array.from({ length: number }, (_, i) => `f(a, c${i})`).join(", ")} FROM t`)[0].columns;
  assert.equal(columns(8), 0);
  assert.equal(columns(23), 23);
});

test("the lines hold every word of the text", () => {
  const sql = "WITH x AS (SELECT 1) SELECT DISTINCT a FROM x, (SELECT b FROM y) z WHERE ((a)) OR NOT EXISTS (SELECT 2) FOR UPDATE";
  const words = (text) => text.replace(/\s+/g, "");
  assert.equal(words(lines(sql).join("")), words(sql));
});

test("64 KiB take no longer than a frame or two", () => {
  const sql = `SELECT ${"((a = $1 OR b IN ('x')) AND ".repeat(2_400)}`.slice(0, 65_536);
  const began = performance.now();
  layOut(sql);
  assert.ok(performance.now() - began < 200, `${performance.now() - began} ms`);
});

test("the tail tells shapes of one table apart", () => {
  assert.equal(shapeTail('SELECT "b"."id", "b"."title" FROM "b" WHERE "b"."id" = $1 LIMIT $2'), "WHERE id = $1 LIMIT $2");
  assert.equal(shapeTail('SELECT COUNT(*) AS "__count" FROM "b"'), "COUNT(*) AS __count FROM b");
  assert.equal(shapeTail(""), "");
});
