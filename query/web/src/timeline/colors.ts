/** Colours of services, and tokens as canvases need them. */

// Those close to the red of failures and to grey come last.
const HUES = [0, 1, 2, 3, 4, 6, 8, 5, 9, 7];
const FIRST = 6;

export function hueOf(services: readonly string[], service: string | null): string {
  const hue = service === null ? undefined : huesOf(services).get(service);
  return hue === undefined ? "var(--faint)" : `var(--hue-${hue})`;
}

const known = new WeakMap<readonly string[], ReadonlyMap<string, number>>();

/** Each service has the hue of its name, wherever it is shown; where two names have the same, the later one the next. */
function huesOf(services: readonly string[]): ReadonlyMap<string, number> {
  const found = known.get(services);
  if (found) {
    return found;
  }
  const hues = new Map<string, number>();
  for (const service of [...services].sort()) {
    const taken = new Set(hues.size < HUES.length ? hues.values() : []);
    let place = hash(service) % FIRST;
    while (taken.has(HUES[place] ?? 0)) {
      place = (place + 1) % HUES.length;
    }
    hues.set(service, HUES[place] ?? 0);
  }
  known.set(services, hues);
  return hues;
}

/** FNV-1a. */
function hash(text: string): number {
  let sum = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) {
    sum = Math.imul(sum ^ text.charCodeAt(at), 0x01000193);
  }
  return sum >>> 0;
}

/** Return what a token is on an element now, as a canvas can read it. */
export function resolved(element: Element, token: string): string {
  const probe = document.createElement("span");
  probe.style.color = token;
  probe.style.display = "none";
  element.append(probe);
  const color = getComputedStyle(probe).color;
  probe.remove();
  return color;
}
