import { html, useEffect, useState } from "./preact.js";
import { announce } from "./announce.js";
import { post } from "./api.js";

/** How long a mute can be taken back where it was done, milliseconds. */
const UNDO_MS = 10_000;

/**
 * Mutes a finding without a question, and takes it back for ten seconds; one that is muted already is unmuted.
 * @param {{ finding: { id: string, status: string }, onDone: () => void }} props
 */
export function MuteButton({ finding, onDone }) {
  const [undo, setUndo] = useState(false);
  const [problem, setProblem] = useState(null);
  useEffect(() => {
    if (!undo) return undefined;
    const timer = setTimeout(() => setUndo(false), UNDO_MS);
    return () => clearTimeout(timer);
  }, [undo]);

  const change = (verb, said, undoable) => async () => {
    try {
      await post(`findings/${finding.id}/${verb}`);
      setProblem(null);
      setUndo(undoable);
      announce(said);
      onDone();
    } catch (error) {
      setProblem(error.message);
    }
  };
  const mute = change("mute", "Muted. Undo is beside it for 10 seconds.", true);
  const unmute = change("unmute", "No longer muted.", false);

  if (problem) return html`<span class="mute" role="alert">${problem} <button type="button" class="button" onClick=${() => setProblem(null)}>Close</button></span>`;
  if (undo) return html`<span class="mute">Muted. <button type="button" class="button" data-key="m" onClick=${unmute}>Undo</button></span>`;
  if (finding.status === "muted") return html`<button type="button" class="button" data-key="m" onClick=${unmute}>Unmute</button>`;
  return html`<button type="button" class="button" data-key="m" onClick=${mute}>Mute</button>`;
}
