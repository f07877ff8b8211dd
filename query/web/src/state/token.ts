/** The bearer token: in this tab's session storage and the Authorization header, nowhere else. */

const KEY = "ganglion.token";
const listeners = new Set<() => void>();
let wanted = false;

export function token(): string | null {
  return sessionStorage.getItem(KEY);
}

export function setToken(value: string | null): void {
  if (value) {
    sessionStorage.setItem(KEY, value);
  } else {
    sessionStorage.removeItem(KEY);
  }
  askForToken(false);
}

/** Say that the API wants a token (or another one). */
export function askForToken(value = true): void {
  wanted = value;
  for (const listener of listeners) {
    listener();
  }
}

export function isTokenWanted(): boolean {
  return wanted;
}

export function onTokenWanted(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}
