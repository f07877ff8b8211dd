import { fileURLToPath } from "node:url";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

/** The component for applications that bundle: an ES module beside its stylesheet, React from the application. */
export default defineConfig({
  plugins: [react()],
  resolve: { alias: { "~": fileURLToPath(new URL("./src", import.meta.url)) } },
  build: {
    target: ["chrome123", "firefox128", "safari17.5"],
    outDir: "../ganglion_query/_page/embed",
    emptyOutDir: true,
    lib: {
      entry: "src/embed/index.ts",
      formats: ["es"],
      fileName: "trace-timeline",
      cssFileName: "trace-timeline",
    },
    rolldownOptions: { external: ["react", "react-dom", "react/jsx-runtime", "react-dom/client"] },
  },
});
