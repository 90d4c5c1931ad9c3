import { InvalidOptionError } from "../errors.ts";

/**
 * A repository of a model hub. `ModelStore.model` holds its large files against the SHA-256 that the hub names;
 * `loadEngine` takes their bytes as they come, since it doesn't read each once and in order.
 */
export interface HubModel {
  /** `owner/name`. */
  readonly repository: string;
  /** A branch, a tag or a commit; `main` where it isn't said. A commit never changes. */
  readonly revision?: string;
  /** A GGUF file of the repository; without it the model is its safetensors files. */
  readonly file?: string;
  /** Address of the hub, by default `https://huggingface.co`. */
  readonly endpoint?: string;
}

const DEFAULT_ENDPOINT = "https://huggingface.co";
const REPOSITORY = /^[\w-][\w.-]{0,95}\/[\w-][\w.-]{0,95}$/;
const PATH = /^(?!\.)[\w.-]+(?:\/(?!\.)[\w.-]+)*$/;

/**
 * The address under which a hub serves the repository's files, or what Git itself holds of them (`raw`: of large ones
 * only pointers); it ends in "/".
 * @throws InvalidOptionError where a part is no name: nothing of it may lead to another address.
 */
export function hubAddress(model: HubModel, kind: "resolve" | "raw" = "resolve"): string {
  const { repository, revision = "main", endpoint = DEFAULT_ENDPOINT, file } = model;
  if (!REPOSITORY.test(repository)) {
    throw new InvalidOptionError("repository", repository, '"owner/name"');
  }
  if (!PATH.test(revision)) {
    throw new InvalidOptionError("revision", revision, "a branch, a tag or a commit");
  }
  if (file !== undefined && !PATH.test(file)) {
    throw new InvalidOptionError("file", file, "the path of a file in the repository");
  }
  if (!/^https?:\/\/[^?#]+$/.test(endpoint)) {
    throw new InvalidOptionError("endpoint", endpoint, "an http address");
  }
  const base = endpoint.replace(/\/+$/, "");
  return `${base}/${repository}/${kind}/${encodeURIComponent(revision)}/`;
}
