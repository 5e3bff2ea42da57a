/** The one place that knows where preact and htm come from. */
export {
  html,
  h,
  render,
  createContext,
  useState,
  useReducer,
  useEffect,
  useLayoutEffect,
  useRef,
  useMemo,
  useCallback,
  useContext,
} from "../vendor/htm/preact-standalone.module.js";
