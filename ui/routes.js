/** The views by path. Each is loaded when it is first opened. */

/** @type {import("./lib/router.js").Route[]} */
export const routes = [
  { pattern: "/", menu: "/", load: () => import("./views/overview.js") },
  { pattern: "/findings", menu: "/findings", filter: "route:books kind:n_plus_one_forward", load: () => import("./views/findings.js") },
  { pattern: "/findings/:id", menu: "/findings", load: () => import("./views/finding.js") },
  { pattern: "/requests", menu: "/requests", filter: "route:books d>100ms n>50", load: () => import("./views/requests.js") },
  { pattern: "/requests/:id", menu: "/requests", load: () => import("./views/unit.js") },
  { pattern: "/queries", menu: "/queries", filter: "table:shop_book op:select d>10ms", load: () => import("./views/queries.js") },
  { pattern: "/queries/:fingerprint", menu: "/queries", load: () => import("./views/query.js") },
  { pattern: "/connections", menu: "/connections", filter: "user:web db:shop", load: () => import("./views/connections.js") },
  { pattern: "/live", menu: "/live", filter: "op:update d>10ms error", load: () => import("./views/live.js") },
  { pattern: "/login", menu: null, load: () => import("./views/login.js") },
];

/** The rail's entries; the bar of a narrow page shows the first four and the rest behind More. */
export const menu = [
  { href: "/", label: "Overview" },
  { href: "/findings", label: "Findings" },
  { href: "/requests", label: "Requests" },
  { href: "/queries", label: "Queries" },
  { href: "/connections", label: "Connections" },
  { href: "/live", label: "Live" },
];
