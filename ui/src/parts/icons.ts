// SVG paths of the icons, on a grid of 16 × 16, drawn as strokes.

export const ICONS = {
  overview: "M2.5 9.5 5.5 6l3 3 5-6M2.5 13.5h11",
  actors: "M8 2.5v3M3.5 9.5v-2h9v2M8 5.5v2M2 9.5h3v4H2zM6.5 9.5h3v4h-3zM11 9.5h3v4h-3z",
  jobs: "M2.5 4h11M2.5 8h11M2.5 12h6M11 10.5l3 1.8-3 1.8z",
  workflows: "M2.5 2.5h4v4h-4zM9.5 9.5h4v4h-4zM6.5 4.5h5v5",
  crons: "M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12ZM8 4.8V8l2.3 1.6",
  limit: "M2.5 12a5.5 5.5 0 1 1 11 0M8 12l2.5-4",
  clone: "M6 6h7v7H6zM10 3.5H3.5V10",
  search: "M7 11.5a4.5 4.5 0 1 0 0-9 4.5 4.5 0 0 0 0 9ZM10.5 10.5l3 3",
  close: "M4 4l8 8M12 4l-8 8",
  pause: "M5.5 3.5v9M10.5 3.5v9",
  play: "M5 3.5l7 4.5-7 4.5z",
  sun: "M8 10.8a2.8 2.8 0 1 0 0-5.6 2.8 2.8 0 0 0 0 5.6ZM8 1.5v1.3M8 13.2v1.3M1.5 8h1.3M13.2 8h1.3M3.4 3.4l.9.9M11.7 11.7l.9.9M12.6 3.4l-.9.9M4.3 11.7l-.9.9",
  moon: "M13 9.6A5.5 5.5 0 0 1 6.4 3 5.5 5.5 0 1 0 13 9.6Z",
  auto: "M8 2.5a5.5 5.5 0 1 0 0 11zM8 2.5a5.5 5.5 0 0 1 0 11",
  help: "M6 6.2a2 2 0 1 1 2.9 1.8c-.6.3-.9.7-.9 1.5M8 11.8v.2M8 14a6 6 0 1 0 0-12 6 6 0 0 0 0 12Z",
  chevron: "M6 4l4 4-4 4",
  down: "M4 6l4 4 4-4",
  restart: "M12.5 5.5A5 5 0 1 0 13 8.6M12.8 2.5v3h-3",
  stop: "M4 4h8v8H4z",
  copy: "M5.5 5.5h7v7h-7zM3.5 10.5v-7h7",
  check: "M3 8.5l3.2 3.2L13 5",
  alert: "M8 2.5 14 13H2zM8 6.5v3M8 11.3v.2",
  link: "M6.5 9.5l3-3M7 4.5l1-1a3 3 0 0 1 4.2 4.2l-1 1M9 11.5l-1 1a3 3 0 0 1-4.2-4.2l1-1",
  user: "M8 8a2.6 2.6 0 1 0 0-5.2A2.6 2.6 0 0 0 8 8ZM3 13.5c.6-2.4 2.6-3.6 5-3.6s4.4 1.2 5 3.6",
  join: "M8 13V4M4.5 7.5 8 4l3.5 3.5",
  leave: "M8 3v9M4.5 8.5 8 12l3.5-3.5",
} as const;

export type IconName = keyof typeof ICONS;
