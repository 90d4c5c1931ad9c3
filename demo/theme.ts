/** How the page looks: as the system does, or one way. */
export type Theme = "system" | "light" | "dark";

const KEY = "ziggurat-theme";
const SYSTEM_DARK = "(prefers-color-scheme: dark)";

/** What the rules of the dark theme are bound to. */
const MEDIA: Readonly<Record<Theme, string>> = {
  system: SYSTEM_DARK,
  light: "not all",
  dark: "all",
};

let darkRules: CSSMediaRule[] | undefined;

/** The theme that was chosen last. */
export function readTheme(): Theme {
  try {
    const saved = localStorage.getItem(KEY);
    return saved === "light" || saved === "dark" ? saved : "system";
  } catch {
    return "system"; // storage is refused: as the system does
  }
}

/** Show a theme, and keep it where the browser lets us. */
export function applyTheme(theme: Theme): void {
  darkRules ??= [...document.styleSheets]
    .flatMap((sheet) => [...sheet.cssRules])
    .filter((rule): rule is CSSMediaRule => rule instanceof CSSMediaRule)
    .filter(({ conditionText }) => conditionText === SYSTEM_DARK);
  for (const { media } of darkRules) media.mediaText = MEDIA[theme];
  document.documentElement.style.colorScheme = theme === "system" ? "" : theme;
  try {
    localStorage.setItem(KEY, theme);
  } catch {
    // Storage is refused: it holds until the page is left.
  }
}
