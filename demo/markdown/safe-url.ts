/**
 * The address of a link that a model wrote: absolute, http or https, without a name or password in
 * it (they make one host look like another). Anything else is no link.
 */
export function safeUrl(written: string): URL | undefined {
  // What may follow the address is its title: [text](address "title").
  const [address = ""] = written.trim().split(/\s/, 1);
  if (!/^https?:\/\//i.test(address) || !URL.canParse(address)) return undefined;
  const url = new URL(address);
  return url.username === "" && url.password === "" ? url : undefined;
}

/** An address in running text, without the punctuation that ends the sentence. */
export function trimUrl(written: string): string {
  return written.replace(/[.,;:!?'"*_)\]>]+$/, "");
}
