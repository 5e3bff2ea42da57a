/**
 * Colours of the present theme, for what is drawn on a canvas.
 * @param {string[]} names of custom properties, without dashes
 * @returns {Record<string, string>}
 */
export function themeColours(names) {
  const probe = document.createElement("span");
  probe.hidden = true;
  document.body.append(probe);
  const colours = {};
  for (const name of names) {
    probe.style.color = `var(--${name})`;
    colours[name] = getComputedStyle(probe).color;
  }
  probe.remove();
  return colours;
}
