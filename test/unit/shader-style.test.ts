import { existsSync, readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";

const read = (path: string): string =>
  readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");
const kernels = readdirSync(new URL("../../shaders", import.meta.url))
  .filter((file) => file.endsWith(".wgsl"))
  .map((file) => file.replace(".wgsl", ""));
const hostSources = readdirSync(new URL("../../src", import.meta.url), { recursive: true })
  .map(String)
  .filter((file) => file.endsWith(".ts"))
  .map((file) => read(`src/${file}`))
  .join("\n");

describe.each(kernels)("%s.wgsl", (name) => {
  const text = read(`shaders/${name}.wgsl`);

  test("begins with its name and purpose, and names its grid and its twin", () => {
    expect(text).toMatch(new RegExp(`^// ${name}: \\S`));
    expect(text).toMatch(/^\/\/ Dispatch: \(/m);
    const twin = /^\/\/ CPU twin: (test\/reference\/\w+\.ts)$/m.exec(text)?.[1];
    expect(twin && existsSync(new URL(`../../${twin}`, import.meta.url))).toBe(true);
  });

  test("binds params first, then what it reads, then what it writes, in group 0 without gaps", () => {
    const bindings = [...text.matchAll(/@group\((\d+)\) @binding\((\d+)\) var<([^>]+)>/g)];
    const order = ["uniform", "storage, read", "storage, read_write"];
    const ranks = bindings.map(([, , , access]) => order.indexOf(access));
    expect(bindings.every(([, group]) => group === "0")).toBe(true);
    expect(ranks).not.toContain(-1);
    expect(ranks).toEqual(ranks.toSorted());
    expect(ranks.filter((rank) => rank > 0).length).toBeLessThanOrEqual(
      8 + countAlternatives(text),
    );
  });

  test("is in the kernel table, and the host runs it", () => {
    expect(read("shaders/README.md")).toContain(`| \`${name}\` `);
    expect(hostSources.includes(`"${name}"`)).toBe(true);
  });
});

/** Bindings inside `#if` count only in one variant. */
function countAlternatives(text: string): number {
  return [...text.matchAll(/#if [\s\S]*?#endif/g)]
    .map(([block]) => block.match(/@binding/g)?.length ?? 0)
    .reduce((sum, count) => sum + count, 0);
}
