import { html, useEffect, useState } from "../lib/preact.js";
import { matchRoute, useLocation } from "../lib/router.js";
import { useStore } from "../lib/store.js";
import { announcement, announce } from "../lib/announce.js";
import { locked } from "../lib/api.js";
import { startKeys } from "../lib/keys.js";
import { arrivals } from "../lib/view.js";
import { onFinding } from "../lib/live.js";
import { Empty, Skeleton } from "../lib/parts.js";
import { routes } from "../routes.js";
import Login from "../views/login.js";
import { Menu } from "./menu.js";
import { TopBar } from "./top-bar.js";
import { Strips } from "./strips.js";
import { KeysHelp } from "./keys-help.js";
import { View } from "../lib/view.js";

/** Everything around a view. */
export function Shell() {
  const { path } = useLocation();
  const [help, setHelp] = useState(false);
  const needsLogin = useStore(locked);
  const found = matchRoute(routes, path);

  useEffect(() => startKeys({ help: () => setHelp((open) => !open) }), []);
  useEffect(() => onFinding(({ status, advice }) => status === "open" && announce(`New finding: ${advice.title}`)), []);
  useArrivals(path);

  if (needsLogin || path === "/login") return html`<${Login} />`;
  return html`
    <a class="skip" href="#content">Skip to content</a>
    <div class="shell">
      <${Menu} active=${found?.route.menu} />
      <div class="column">
        <${TopBar} route=${found?.route} onHelp=${() => setHelp(true)} />
        <${Strips} />
        ${found ? html`<${Loaded} key=${found.route.pattern} route=${found.route} params=${found.params} />` : html`<${Unknown} />`}
      </div>
    </div>
    <${KeysHelp} open=${help} onClose=${() => setHelp(false)} />
    <${LiveRegion} />
  `;
}

/** Counts arrivals at other views, not the first one: the browser's own focus stands then. */
function useArrivals(path) {
  const [first] = useState(path);
  const [left, setLeft] = useState(false);
  useEffect(() => {
    if (left || path !== first) arrivals.set((times) => times + 1);
    if (path !== first) setLeft(true);
  }, [path]);
}

/** A view whose module is fetched when it is first opened. */
function Loaded({ route, params }) {
  const [view, setView] = useState(null);
  useEffect(() => {
    let here = true;
    route.load().then(
      (module) => here && setView(() => module.default),
      () => here && setView(() => Missing),
    );
    return () => {
      here = false;
    };
  }, [route]);
  if (!view) return html`<main id="content"><${Skeleton} /></main>`;
  return html`<${view} params=${params} />`;
}

function Missing() {
  return html`<${View} name="missing" title="Not loaded">
    <${Empty}>This part of the page could not be loaded. Is pgprism still running?<//>
  <//>`;
}

function Unknown() {
  return html`<${View} name="unknown" title="No such page">
    <${Empty} action=${{ href: "/", label: "Overview" }}>Nothing is at this address.<//>
  <//>`;
}

function LiveRegion() {
  return html`<div class="visually-hidden" role="status" aria-live="polite">${useStore(announcement)}</div>`;
}
