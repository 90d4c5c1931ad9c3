import {
  BUDGETS,
  POLICIES_UNDER_TEST,
  type PolicyUnderTest,
  WIDE_POOLS,
} from "./configurations.ts";
import { type Document, DOCUMENTS } from "./documents.ts";
import { PASSKEYS, type Passkey } from "./passkey.ts";

/** What is measured. */
export interface QualityPlan {
  /** Tokens of a prompt when the cache is compressed; a question may be among them. */
  readonly promptTokens: number;
  /** Next-token distributions that are compared, each made from the compressed cache. */
  readonly scoredTokens: number;
  readonly documents: readonly Document[];
  readonly policies: readonly PolicyUnderTest[];
  readonly passkeys: readonly Passkey[];
  readonly passkeyPolicies: readonly PolicyUnderTest[];
  /** Per cent of the full cache. */
  readonly budgets: readonly number[];
  /** Tokens that are decoded to measure speed; 0 for no such measurement. */
  readonly decodedTokens: number;
}

/** `npm run quality`. */
export const FULL_PLAN: QualityPlan = {
  promptTokens: 768,
  scoredTokens: 64,
  documents: DOCUMENTS,
  policies: POLICIES_UNDER_TEST,
  passkeys: PASSKEYS,
  passkeyPolicies: [...POLICIES_UNDER_TEST, ...WIDE_POOLS],
  budgets: BUDGETS,
  decodedTokens: 33,
};

const named = (...labels: string[]): PolicyUnderTest[] =>
  [...POLICIES_UNDER_TEST, ...WIDE_POOLS].filter(({ label }) => labels.includes(label));

/** `npm run quality -- --quick`, and what the tests run. */
export const QUICK_PLAN: QualityPlan = {
  promptTokens: 320,
  scoredTokens: 32,
  documents: DOCUMENTS.filter(({ name }) => name === "garage"),
  policies: named("pyramidkv", "snapkv"),
  passkeys: PASSKEYS.slice(2, 3),
  passkeyPolicies: named("snapkv, avg 13", "streaming-llm"),
  budgets: [100, 50, 12],
  decodedTokens: 0,
};
