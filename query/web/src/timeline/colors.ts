/** Colours of services, and tokens as canvases need them. */

const HUES = 10;

export function hueOf(services: readonly string[], service: string | null): string {
  const index = service ? services.indexOf(service) : -1;
  return index < 0 ? "var(--faint)" : `var(--hue-${index % HUES})`;
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
