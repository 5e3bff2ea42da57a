import assert from "node:assert/strict";
import { test } from "node:test";

import { findingMarkdown, fixOf } from "../../ui/lib/finding-advice.js";

test("a fix is its code, and what it says about itself", () => {
  assert.deepEqual(fixOf('select_related("author")  # on the queryset that reads shop_book; by convention from shop_book.author_id'), {
    code: 'select_related("author")',
    remarks: ["on the queryset that reads shop_book", "by convention from shop_book.author_id"],
  });
});

test("a mark inside of a string begins no remark", () => {
  assert.deepEqual(fixOf('filter(name="# 1")'), { code: 'filter(name="# 1")', remarks: [] });
});

test("a fix may be nothing but a remark", () => {
  assert.deepEqual(fixOf("# keep the object in a variable"), { code: "", remarks: ["keep the object in a variable"] });
});

test("Markdown has the code in a block and plain spaces", () => {
  const text = findingMarkdown({
    id: "3c91a07",
    kind: "duplicate",
    confidence: "likely",
    severity: "low",
    fingerprint: "f",
    query: "SELECT $1",
    parent_fingerprint: null,
    tags: { route: ["books/"] },
    units: 2,
    occurrences: 2,
    queries: 8,
    cost_ms: 4.5,
    queries_before: 5,
    queries_after: 2,
    proof: null,
    chain: [],
    advice: { title: "Ask once", django: "cached()  # in the view", why: "It repeats.", saves_ms: 3 },
  });
  assert.match(text, /^### Ask once\n/);
  assert.match(text, /```python\ncached\(\)\n```\n\n> in the view/);
  assert.match(text, /- route: `books\/`/);
  assert.match(text, /Missing: Repetition alone/);
  assert.ok(!/[\u00a0\u202f]/.test(text));
});
