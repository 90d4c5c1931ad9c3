import { parseLayerRows } from "./layer-rows.ts";
import {
  BUDGET_RULES,
  DEFAULT_SETTINGS,
  keepsRule,
  NUMBER_RULES,
  type NumberSetting,
  POLICY_CHOICES,
  RANKINGS,
  type Settings,
} from "./settings.ts";

/** Settings that are one of a few words. */
const CHOICES = {
  policy: POLICY_CHOICES.map(({ name }) => name),
  ranking: RANKINGS,
  budgetUnit: Object.keys(BUDGET_RULES),
  kvDtype: ["f16", "f32"],
  followUp: ["keep", "read-again"],
} as const satisfies Partial<Record<keyof Settings, readonly string[]>>;

/**
 * Settings as a query, without those that are as always. What the user has written (the system
 * prompt) never becomes part of an address.
 */
export function settingsToQuery(settings: Settings): string {
  const query = new URLSearchParams();
  for (const name of Object.keys(DEFAULT_SETTINGS) as (keyof Settings)[]) {
    if (name === "systemPrompt" || settings[name] === DEFAULT_SETTINGS[name]) continue;
    query.set(name, String(settings[name]));
    // The unit and its number go together.
    if (name === "budgetUnit") query.set("budget", String(settings.budget));
  }
  return query.toString();
}

/** Settings of an address, and what in it wasn't understood, as it was written. */
export function settingsFromQuery(text: string): {
  readonly settings: Settings;
  readonly ignored: readonly string[];
} {
  const query = new URLSearchParams(text);
  const taken: Record<string, string | number> = {};
  const ignored: string[] = [];
  const take = (name: string, value: string | number | undefined): void => {
    if (value !== undefined) taken[name] = value;
    else if (query.has(name)) ignored.push(`${name}=${query.get(name)}`);
  };
  for (const [name, words] of Object.entries(CHOICES)) {
    take(
      name,
      words.find((word) => word === query.get(name)),
    );
  }
  for (const name of Object.keys(NUMBER_RULES) as NumberSetting[]) {
    take(name, numberOf(query.get(name), NUMBER_RULES[name]));
  }
  take("layerRows", parseLayerRows(query.get("layerRows") ?? "")?.join());
  const unit = (taken["budgetUnit"] ?? DEFAULT_SETTINGS.budgetUnit) as Settings["budgetUnit"];
  take("budget", numberOf(query.get("budget"), BUDGET_RULES[unit]));
  // A unit alone says nothing: its number belongs to it.
  if (taken["budget"] === undefined && taken["budgetUnit"] !== undefined) {
    ignored.push(`budgetUnit=${taken["budgetUnit"]}`);
    delete taken["budgetUnit"];
  }
  for (const [name, value] of query) {
    if (!Object.hasOwn(DEFAULT_SETTINGS, name)) ignored.push(`${name}=${value}`);
  }
  return { settings: { ...DEFAULT_SETTINGS, ...taken }, ignored };
}

function numberOf(text: string | null, rule: Parameters<typeof keepsRule>[1]): number | undefined {
  if (text === null || text.trim() === "") return undefined;
  const value = Number(text);
  return keepsRule(value, rule) ? value : undefined;
}
