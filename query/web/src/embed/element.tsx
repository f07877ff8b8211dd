/** `<ganglion-trace-timeline trace-id="…" endpoint="…" color-scheme="…" height="…">` for pages without a bundler. */

import { createRoot, type Root } from "react-dom/client";
import { TraceTimeline } from "./index";
import type { SpanNode } from "./trace-timeline";

/** Replaced by the stylesheet when the module is built. */
const STYLES = "__GANGLION_STYLES__";

class TraceTimelineElement extends HTMLElement {
  static readonly observedAttributes = ["trace-id", "endpoint", "color-scheme", "height"];
  #root: Root | null = null;

  connectedCallback(): void {
    const shadow = this.shadowRoot ?? this.attachShadow({ mode: "open" });
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(`:host { display: block; min-width: 0; }\n${STYLES}`);
    shadow.adoptedStyleSheets = [sheet];
    this.#root = createRoot(shadow);
    this.#render();
  }

  disconnectedCallback(): void {
    this.#root?.unmount();
    this.#root = null;
  }

  attributeChangedCallback(): void {
    this.#render();
  }

  #render(): void {
    const traceId = this.getAttribute("trace-id");
    const scheme = this.getAttribute("color-scheme");
    const endpoint = this.getAttribute("endpoint");
    const height = this.getAttribute("height");
    this.#root?.render(
      traceId ? (
        <TraceTimeline
          traceId={traceId}
          colorScheme={scheme === "light" || scheme === "dark" ? scheme : "auto"}
          onSpanSelect={this.#told}
          {...(endpoint !== null && { endpoint })}
          {...(height !== null && { height: /^\d+$/.test(height) ? Number(height) : height })}
        />
      ) : null,
    );
  }

  /** Tell the page around it which span was chosen. */
  readonly #told = (span: SpanNode | null): void => {
    this.dispatchEvent(new CustomEvent("span-select", { detail: span, bubbles: true, composed: true }));
  };
}

if (!customElements.get("ganglion-trace-timeline")) {
  customElements.define("ganglion-trace-timeline", TraceTimelineElement);
}
