// What the keys do, for the list of keys. It is not part of `keys.ts`, since the page loads it when it is first opened.

/** The keys as the help lists them. */
export const HELP: readonly { readonly keys: readonly string[]; readonly does: string }[] = [
  { keys: ["g", "o"], does: "Overview" },
  { keys: ["g", "a"], does: "Actors" },
  { keys: ["g", "j"], does: "Jobs" },
  { keys: ["g", "w"], does: "Workflows" },
  { keys: ["g", "c"], does: "Crons" },
  { keys: ["/"], does: "Filter" },
  { keys: ["j", "k"], does: "Next, previous row" },
  { keys: ["←", "→"], does: "Fold, unfold actors" },
  { keys: ["Enter"], does: "Open the row" },
  { keys: ["x"], does: "Select the job" },
  { keys: ["r"], does: "Retry the job or the run" },
  { keys: ["Esc"], does: "Close" },
  { keys: ["Space"], does: "Pause live updates" },
  { keys: ["?"], does: "This list" },
];
