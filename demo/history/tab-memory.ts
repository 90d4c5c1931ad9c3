const KEY = "ziggurat-conversation";

/** Keep which conversation is open in this tab, so that it is there after a reload. */
export function rememberTab(id: string | undefined): void {
  try {
    if (id === undefined) sessionStorage.removeItem(KEY);
    else sessionStorage.setItem(KEY, id);
  } catch {
    // Storage is refused: after a reload the tab begins anew.
  }
}

/** The conversation that was open in this tab. */
export function recallTab(): string | undefined {
  try {
    return sessionStorage.getItem(KEY) ?? undefined;
  } catch {
    return undefined;
  }
}
