import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import test from "node:test";
import { fileURLToPath } from "node:url";

const UI = fileURLToPath(new URL("../../ui/", import.meta.url));

/** Modules that `entry` imports, itself included, as paths below `ui/`. */
function reachable(entry, found = new Set()) {
  const file = relative(UI, entry);
  if (found.has(file)) return found;
  found.add(file);
  const source = file.startsWith("vendor/") ? "" : readFileSync(entry, "utf8");
  for (const [, path] of source.matchAll(/^(?:import|export) [^;]*?from "(\.[^"]+)";/gm)) {
    reachable(join(dirname(entry), path), found);
  }
  return found;
}

test("the first view's modules are fetched at once, not one import after the other", () => {
  const page = readFileSync(join(UI, "index.html"), "utf8");
  const preloaded = [...page.matchAll(/rel="modulepreload" href="\/assets\/([^"]+)"/g)].map(([, path]) => path);
  const needed = new Set([...reachable(join(UI, "app.js")), ...reachable(join(UI, "views/overview.js"))]);
  needed.delete("app.js");
  assert.deepEqual(preloaded.sort(), [...needed].sort());
});
