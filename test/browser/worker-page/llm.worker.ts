import "../../../src/worker.ts";
