import assert from "node:assert/strict";
import test from "node:test";
import { matchRoute, withParams } from "../../ui/lib/router.js";

const ROUTES = [{ pattern: "/" }, { pattern: "/queries" }, { pattern: "/queries/:fingerprint" }];
const match = (path) => {
  const found = matchRoute(ROUTES, path);
  return found && [found.route.pattern, found.params];
};

test("paths lead to views", () => {
  assert.deepEqual(match("/"), ["/", {}]);
  assert.deepEqual(match("/queries"), ["/queries", {}]);
  assert.deepEqual(match("/queries/"), ["/queries", {}]);
  assert.deepEqual(match("/queries/9f02"), ["/queries/:fingerprint", { fingerprint: "9f02" }]);
  assert.deepEqual(match("/queries/a%2Fb"), ["/queries/:fingerprint", { fingerprint: "a/b" }]);
});

test("a path that is none of ours leads nowhere, one with a broken escape is taken as it is", () => {
  assert.equal(match("/nothing"), null);
  assert.equal(match("/queries/a/b"), null);
  assert.deepEqual(match("/queries/%E0"), ["/queries/:fingerprint", { fingerprint: "%E0" }]);
});

test("parameters are set, replaced and removed; others stay", () => {
  assert.equal(withParams("", { q: "route:books/ d>10ms" }), "?q=route%3Abooks%2F+d%3E10ms");
  assert.equal(withParams("?q=a&sort=calls", { q: "b" }), "?q=b&sort=calls");
  assert.equal(withParams("?q=a", { q: "" }), "");
  assert.equal(withParams("?q=a&minutes=5", { q: null }), "?minutes=5");
});
