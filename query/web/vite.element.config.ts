import { fileURLToPath } from "node:url";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

/** The custom element for pages without a bundler: one module with React and the stylesheet in it. */
export default defineConfig({
  plugins: [react()],
  resolve: { alias: { "~": fileURLToPath(new URL("./src", import.meta.url)) } },
  define: { "process.env.NODE_ENV": JSON.stringify("production") },
  build: {
    target: ["chrome123", "firefox128", "safari17.5"],
    outDir: "../ganglion_query/_page/embed",
    emptyOutDir: false,
    lib: { entry: "src/embed/element.ts", formats: ["es"], fileName: "trace-timeline-element" },
  },
});
