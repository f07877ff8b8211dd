import { useCallback, useSyncExternalStore } from "react";

/** Return whether the window is at most so wide, in pixels. */
export function useNarrow(width: number): boolean {
  const media = `(max-width: ${width}px)`;
  const subscribe = useCallback(
    (changed: () => void) => {
      const query = matchMedia(media);
      query.addEventListener("change", changed);
      return () => query.removeEventListener("change", changed);
    },
    [media],
  );
  return useSyncExternalStore(subscribe, () => matchMedia(media).matches);
}
