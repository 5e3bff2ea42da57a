import { createStore } from "./store.js";

/** What the reader of this browser chose; lost where storage is not allowed. */

const read = (name, otherwise) => {
  try {
    return localStorage.getItem(`pgprism-${name}`) ?? otherwise;
  } catch {
    return otherwise;
  }
};

function write(name, value) {
  try {
    localStorage.setItem(`pgprism-${name}`, value);
  } catch {
    // Kept for this visit only.
  }
}

const stored = (name, otherwise) => {
  const store = createStore(read(name, otherwise));
  return { ...store, set: (value) => { store.set(value); write(name, store.get()); } };
};

/** `auto` follows the system. @type {import("./store.js").Store<"auto" | "light" | "dark">} */
export const theme = stored("theme", "auto");
/** Whether single keys do something: `on` or `off`. @type {import("./store.js").Store<"on" | "off">} */
export const keysSetting = stored("keys", "on");

const THEMES = ["auto", "light", "dark"];

/** The theme that follows. */
export function nextTheme() {
  theme.set(THEMES[(THEMES.indexOf(theme.get()) + 1) % THEMES.length]);
}

/** Draws the page in the chosen theme, now and whenever it changes. */
export function startTheme() {
  const apply = () => {
    const chosen = theme.get();
    if (chosen === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = chosen;
    themeApplied.set(themeApplied.get() + 1);
  };
  apply();
  theme.subscribe(apply);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", apply);
}

/** Goes up by one when colours change: what is drawn on a canvas is drawn again. */
export const themeApplied = createStore(0);
