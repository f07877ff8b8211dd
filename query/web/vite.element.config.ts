import { fileURLToPath } from "node:url";
import react from "@vitejs/plugin-react";
import { defineConfig, type Plugin } from "vite";

const PLACE = /(["'`])__GANGLION_STYLES__\1/;
const PLACE_IN_TEMPLATE = "__GANGLION_STYLES__";

/** Put the stylesheet into the module: a shadow root adopts it, where a policy forbids style elements too. */
function stylesInModule(): Plugin {
  return {
    name: "styles-in-module",
    enforce: "post",
    generateBundle(_, bundle) {
      const files = Object.values(bundle);
      const sheets = files.filter((file) => file.type === "asset" && file.fileName.endsWith(".css"));
      const styles = sheets.map((file) => (file.type === "asset" ? String(file.source) : "")).join("\n");
      for (const file of files) {
        if (file.type === "chunk") {
          const quoted = JSON.stringify(styles);
          file.code = PLACE.test(file.code)
            ? file.code.replace(PLACE, () => quoted)
            : file.code.replace(PLACE_IN_TEMPLATE, () => quoted.slice(1, -1).replaceAll("`", "\\`"));
        }
      }
      for (const sheet of sheets) {
        delete bundle[sheet.fileName];
      }
    },
  };
}

/** The custom element for pages without a bundler: one module with React and the stylesheet in it. */
export default defineConfig({
  plugins: [react(), stylesInModule()],
  resolve: { alias: { "~": fileURLToPath(new URL("./src", import.meta.url)) } },
  define: { "process.env.NODE_ENV": JSON.stringify("production") },
  build: {
    target: ["chrome123", "firefox128", "safari17.5"],
    outDir: "../ganglion_query/_page/embed",
    emptyOutDir: false,
    lib: { entry: "src/embed/element.tsx", formats: ["es"], fileName: "trace-timeline-element" },
  },
});
