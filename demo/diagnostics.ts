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
