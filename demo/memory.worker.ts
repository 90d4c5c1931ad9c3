import "../src/worker.ts";
import { serveGpuCount } from "./memory/count-gpu.ts";

serveGpuCount();
