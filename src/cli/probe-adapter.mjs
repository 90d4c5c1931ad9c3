// Opens the default adapter of Dawn in a process of its own (its environment decides which that is, and a bad driver can
// crash it), and prints what it says of itself as one line of JSON; prints `null` when there is none.
import { create } from "webgpu";

const gpu = create(process.platform === "linux" ? ["backend=vulkan"] : []);
const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
if (adapter === null) {
  console.log("null");
} else {
  const { architecture, device, description } = adapter.info;
  const opened = await adapter.requestDevice();
  opened.destroy();
  console.log(JSON.stringify({ architecture, device, description }));
}
