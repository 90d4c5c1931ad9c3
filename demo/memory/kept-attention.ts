import { formatCount, formatShare } from "../../src/elements.ts";
import { layersAt, type RunTrace } from "../../src/profile.ts";

/** What a run's kept rows carry of the window's attention, as it was measured, in words. */
export function keptAttention(run: RunTrace): string {
  const { layers } = layersAt(run, run.end);
  const mean = (values: readonly number[]): number =>
    values.reduce((sum, value) => sum + value, 0) / values.length;
  const masses = layers.map(({ keptMass }) => (keptMass.length > 0 ? mean(keptMass) : undefined));
  const known = masses.filter((mass) => mass !== undefined);
  if (layers.length === 0) return "";
  const budget = mean(layers.map((layer) => layer.budget));
  const what = `The run above (${run.cache.policy}, ${formatCount(budget)} rows a layer in the mean)`;
  if (known.length === 0)
    return `${what} doesn’t rank by attention: what it kept of it isn’t measured.`;
  const least = Math.min(...known);
  return (
    `${what} kept ${formatShare(mean(known))} of the window’s attention, ` +
    `least in layer ${masses.indexOf(least)}: ${formatShare(least)}.`
  );
}
