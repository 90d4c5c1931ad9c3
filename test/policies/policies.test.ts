import { POLICIES } from "../../src/cache/policy.ts";
import { openTiny } from "../engine/tiny-models.ts";
import { describePolicy } from "./contract.ts";

const engine = await openTiny("tiny-flow");

for (const policy of Object.values(POLICIES)) describePolicy(policy, engine);
