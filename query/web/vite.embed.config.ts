import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import react from "@vitejs/plugin-react";
import { defineConfig, type Plugin } from "vite";

const TYPES = "src/embed/trace-timeline.d.ts";
const SCHEMA = "src/api/schema.d.ts";

/** Put the types beside the module. */
function types(): Plugin {
  return {
    name: "types",
    generateBundle() {
      const told = readFileSync(TYPES, "utf8").replace("../api/schema", "./schema");
      this.emitFile({ type: "asset", fileName: "trace-timeline.d.ts", source: told });
      this.emitFile({ type: "asset", fileName: "schema.d.ts", source: readFileSync(SCHEMA, "utf8") });
    },
  };
}

/** The component for applications that bundle: an ES module beside its stylesheet, React from the application. */
export default defineConfig({
  plugins: [react(), types()],
  resolve: { alias: { "~": fileURLToPath(new URL("./src", import.meta.url)) } },
  build: {
    target: ["chrome123", "firefox128", "safari17.5"],
    outDir: "../ganglion_query/_page/embed",
    emptyOutDir: true,
    lib: {
      entry: "src/embed/index.tsx",
      formats: ["es"],
      fileName: "trace-timeline",
      cssFileName: "trace-timeline",
    },
    rolldownOptions: { external: ["react", "react-dom", "react/jsx-runtime", "react-dom/client"] },
  },
});
