import "../src/worker.ts";
