import type { ChatState } from "./chat-state.ts";

/** The facts of this browser and adapter, one per line, as a person can read and copy them. */
export function describeDevice(
  problem: string,
  adapter: GPUAdapter | undefined,
  detail?: string,
): string {
  const lines = [
    "Ziggurat diagnostics",
    `problem: ${problem}`,
    ...(detail === undefined ? [] : [`detail: ${detail}`]),
    `secure context: ${globalThis.isSecureContext}`,
    `navigator.gpu: ${"gpu" in navigator && navigator.gpu !== undefined ? "present" : "absent"}`,
    `user agent: ${navigator.userAgent}`,
  ];
  if (adapter === undefined) return [...lines, "adapter: none"].join("\n");
  const { info } = adapter;
  lines.push(
    `vendor: ${info.vendor}`,
    `architecture: ${info.architecture}`,
    `device: ${info.device}`,
    `description: ${info.description}`,
    `fallback adapter: ${info.isFallbackAdapter}`,
    `subgroup sizes: ${info.subgroupMinSize} to ${info.subgroupMaxSize}`,
    `features: ${[...adapter.features].sort().join(", ")}`,
    "limits:",
  );
  // Limits are accessors of the prototype: `in` finds them, Object.keys doesn't.
  for (const name in adapter.limits) {
    lines.push(`  ${name}: ${String(adapter.limits[name as keyof GPUSupportedLimits])}`);
  }
  return lines.join("\n");
}

/** What is loaded, set and allocated, one fact per line; nothing that anybody has written. */
export function describeRun({
  model,
  settings,
  settingsProblem,
  turns,
}: Pick<ChatState, "model" | "settings" | "settingsProblem" | "turns">): string {
  const { systemPrompt, ...shared } = settings;
  const lines = [
    `model: ${model.step}`,
    `settings: ${JSON.stringify(shared)}`,
    `system prompt: ${systemPrompt.length} characters`,
    `turns: ${turns.map(({ state }) => state).join(", ") || "none"}`,
  ];
  if (settingsProblem !== undefined) lines.push(`cache refused: ${settingsProblem}`);
  const figures = turns.at(-1)?.figures;
  if (figures !== undefined) lines.push(`last answer: ${JSON.stringify(figures)}`);
  if (model.step === "failed") lines.push(`failed: ${model.problem.title}`);
  if (model.step !== "ready") return lines.join("\n");
  const { config, kernelChoices } = model.engine;
  const { kv, ...memory } = model.engine.memory();
  const { layers, ...bytes } = kv;
  return [
    ...lines,
    `config: ${JSON.stringify(config)}`,
    `kernels: ${JSON.stringify(kernelChoices)}`,
    `memory: ${JSON.stringify({ ...memory, kv: bytes })}`,
    `rows kept by layer: ${layers.map(({ length }) => length).join(" ")}`,
  ].join("\n");
}
