/** Copy a text; false where the page may not, and where it has no clipboard (it isn't secure). */
export async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}
