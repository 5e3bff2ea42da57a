import { html, useEffect, useRef, useState } from "../lib/preact.js";
import { locked, post } from "../lib/api.js";
import { reconnect } from "../lib/live.js";
import { navigate, useLocation } from "../lib/router.js";

/** One field for the token; then back to where the reader wanted to go. */
export default function Login() {
  const [token, setToken] = useState("");
  const [problem, setProblem] = useState("");
  const [asking, setAsking] = useState(false);
  const { path } = useLocation();
  const field = useRef(null);

  useEffect(() => {
    document.title = "Log in · pgprism";
    field.current.focus();
  }, []);

  async function submit(event) {
    event.preventDefault();
    setAsking(true);
    setProblem("");
    try {
      await post("login", { token });
      locked.set(false);
      reconnect();
      if (path === "/login") navigate("/", { replace: true });
    } catch (error) {
      setProblem(error.needsLogin ? "This is not the token. Look at admin.token_file or PGPRISM_TOKEN." : error.message);
      setAsking(false);
      field.current.focus();
    }
  }

  return html`<main id="content" data-view="login" class="login">
    <h1>pgprism</h1>
    <p class="muted">This address asks for a token: the one in <code>admin.token_file</code> or <code>PGPRISM_TOKEN</code>.</p>
    <form onSubmit=${submit}>
      <label for="token">Token</label>
      <input id="token" ref=${field} type="password" autocomplete="current-password" required value=${token}
        aria-describedby=${problem ? "token-problem" : undefined} aria-invalid=${Boolean(problem)}
        onInput=${(event) => setToken(event.currentTarget.value)} />
      ${problem && html`<p id="token-problem" class="problem" role="alert">${problem}</p>`}
      <button type="submit" class="button primary" disabled=${asking}>Log in</button>
    </form>
  </main>`;
}
