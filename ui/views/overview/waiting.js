import { html } from "../../lib/preact.js";
import { Copy, Section } from "../../lib/parts.js";

/** What to do before the first query came. @param {{ listen: string }} props */
export function Waiting({ listen }) {
  const { host, port } = addressOf(listen);
  const settings = `DATABASES["default"].update({\n    "HOST": "${host}",\n    "PORT": "${port}",\n})`;
  return html`<${Section} title="Waiting for the first query">
    <div class="section-body waiting">
      <p>Point <code>DATABASE_URL</code> at <code>${host}:${port}</code> <${Copy} text=${`${host}:${port}`} name="Copy the address" compact /> and load a page.</p>
      <p>Settings that do not read the environment:</p>
      <div class="waiting-code"><pre><code>${settings}</code></pre><${Copy} text=${settings} name="Copy the settings" /></div>
    </div>
  <//>`;
}

/** Where clients of this machine connect: an address that stands for all of them is this one. */
function addressOf(listen) {
  const colon = listen.lastIndexOf(":");
  const host = listen.slice(0, colon);
  return { host: host === "0.0.0.0" || host === "[::]" ? location.hostname : host, port: listen.slice(colon + 1) };
}
