import { ChatTemplateError } from "../errors.ts";

/** An error of the model's chat template: `problem` completes the sentence "the model's chat template …". */
export function templateError(problem: string, options?: ErrorOptions): ChatTemplateError {
  const message = `the model's chat template ${problem}; use a raw prompt, or another model`;
  return new ChatTemplateError(message, options);
}
