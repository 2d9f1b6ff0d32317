// The colour theme: light, dark, or that of the system. The browser stores the choice; the style sheet applies it by `color-scheme`.

export const THEMES = ["auto", "light", "dark"] as const;
export type Theme = (typeof THEMES)[number];

const KEY = "forge.theme";

class ThemeChoice {
  #theme = $state<Theme>("auto");

  get value(): Theme {
    return this.#theme;
  }

  restore(): void {
    const stored = localStorage.getItem(KEY);
    this.#show(THEMES.find((theme) => theme === stored) ?? "auto");
  }

  choose(theme: Theme): void {
    this.#show(theme);
    localStorage.setItem(KEY, theme);
  }

  #show(theme: Theme): void {
    this.#theme = theme;
    if (theme === "auto") delete document.documentElement.dataset["theme"];
    else document.documentElement.dataset["theme"] = theme;
  }
}

export const theme = new ThemeChoice();
