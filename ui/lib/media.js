import { useEffect, useState } from "./preact.js";

/** Below this the rail is a bar and tables have two lines a row. */
const NARROW = "(max-width: 640px)";

/** Whether the page is as narrow as a telephone's. @returns {boolean} */
export function useNarrow() {
  const [narrow, setNarrow] = useState(() => matchMedia(NARROW).matches);
  useEffect(() => {
    const query = matchMedia(NARROW);
    const look = () => setNarrow(query.matches);
    look();
    query.addEventListener("change", look);
    return () => query.removeEventListener("change", look);
  }, []);
  return narrow;
}
