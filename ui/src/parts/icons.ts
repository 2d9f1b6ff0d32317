// SVG paths of the icons, on a grid of 16 × 16, drawn as strokes.

export const ICONS = {
  overview: "M2.5 9.5 5.5 6l3 3 5-6M2.5 13.5h11",
  actors: "M8 2.5v3M3.5 9.5v-2h9v2M8 5.5v2M2 9.5h3v4H2zM6.5 9.5h3v4h-3zM11 9.5h3v4h-3z",
  jobs: "M2.5 4h11M2.5 8h11M2.5 12h6M11 10.5l3 1.8-3 1.8z",
  workflows: "M2.5 2.5h4v4h-4zM9.5 9.5h4v4h-4zM6.5 4.5h5v5",
  crons: "M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12ZM8 5v3l2 2",
  limit: "M2.5 12a5.5 5.5 0 1 1 11 0M8 12l2.5-4",
  clone: "M6 6h7v7H6zM10 3.5H3.5V10",
  search: "M7 11.5a4.5 4.5 0 1 0 0-9 4.5 4.5 0 0 0 0 9ZM10.5 10.5l3 3",
  close: "M4 4l8 8M12 4l-8 8",
  pause: "M5.5 3.5v9M10.5 3.5v9",
  play: "M5 3.5l7 4.5-7 4.5z",
  sun: "M8 11a3 3 0 1 0 0-6 3 3 0 0 0 0 6ZM8 1v2M8 13v2M1 8h2M13 8h2M3 3l1 1M12 12l1 1M13 3l-1 1M4 12l-1 1",
  moon: "M13 10A5.5 5.5 0 0 1 6 3a5.5 5.5 0 1 0 7 7Z",
  auto: "M8 2.5a5.5 5.5 0 1 0 0 11zM8 2.5a5.5 5.5 0 0 1 0 11",
  help: "M6 6a2 2 0 1 1 3 2C8 8 8 9 8 9.5M8 11.8v.2M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12Z",
  chevron: "M6 4l4 4-4 4",
  down: "M4 6l4 4 4-4",
  restart: "M12.5 5.5A5 5 0 1 0 13 8.6M12.8 2.5v3h-3",
  stop: "M4 4h8v8H4z",
  copy: "M5.5 5.5h7v7h-7zM3.5 10.5v-7h7",
  check: "M3 8.5l3.2 3.2L13 5",
  alert: "M8 2.5 14 13H2zM8 6.5v3M8 11.3v.2",
  user: "M8 8a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5ZM3 13.5C4 11 6 10 8 10s4 1 5 3.5",
  join: "M8 13V4M4.5 7.5 8 4l3.5 3.5",
  leave: "M8 3v9M4.5 8.5 8 12l3.5-3.5",
} as const;

export type IconName = keyof typeof ICONS;
