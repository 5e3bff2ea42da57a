/** Whether somebody reads in a way that a change of figures would disturb. */
export function isReading() {
  const selection = getSelection();
  const selecting = Boolean(selection && !selection.isCollapsed && selection.toString().trim());
  return selecting || document.activeElement?.tagName === "SELECT";
}
