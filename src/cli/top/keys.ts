/** The user's choices in `millpond top`, and how each key changes them. */
import { sections } from "./sections.ts";

/** How a section is sorted. */
export type Sorting = {
  /** Index of the column. */
  readonly column: number;
  /** Numbers start with the largest and texts with the first, unless reversed. */
  readonly isReversed: boolean;
};

/** What the next frame shows, and how. */
export type Choice = {
  /** Index of the section that the keys act on. */
  readonly section: number;
  /** One for each section. */
  readonly sortings: readonly Sorting[];
  /** Rows of the chosen section that are above its first line. */
  readonly scrolled: number;
  readonly isPaused: boolean;
  readonly showsHelp: boolean;
};

export const firstChoice: Choice = {
  section: 0,
  sortings: sections.map(({ sortedBy }) => ({ column: sortedBy, isReversed: false })),
  scrolled: 0,
  isPaused: false,
  showsHelp: false,
};

/** Keys and their effects, for `?` and for the documentation. */
export const keyHelp: readonly (readonly [keys: string, effect: string])[] = [
  ["tab, shift-tab", "choose the next or previous table: pools, tasks, clients"],
  ["left, right", "sort the chosen table by the column to the left or right"],
  ["r", "reverse the order"],
  ["up, down", "scroll the chosen table when it has more rows than fit; page up and page down by ten"],
  ["p, space", "pause and resume"],
  ["?, h", "show this help"],
  ["q, Esc, Ctrl-C", "quit"],
];

const page = 10;

/** The choice after a key; undefined when the key quits. Unknown keys change nothing. */
export function afterKey(choice: Choice, key: string): Choice | undefined {
  if (key === "q" || key === "ctrl-c") return undefined;
  if (choice.showsHelp) return { ...choice, showsHelp: false }; // any key closes the help
  switch (key) {
    case "escape":
      return undefined;
    case "?":
    case "h":
      return { ...choice, showsHelp: true };
    case "p":
    case "space":
      return { ...choice, isPaused: !choice.isPaused };
    case "tab":
      return chosen(choice, 1);
    case "shift-tab":
      return chosen(choice, -1);
    case "left":
      return sorted(choice, ({ column }, columns) => ({ column: (column + columns - 1) % columns, isReversed: false }));
    case "right":
      return sorted(choice, ({ column }, columns) => ({ column: (column + 1) % columns, isReversed: false }));
    case "r":
      return sorted(choice, ({ column, isReversed }) => ({ column, isReversed: !isReversed }));
    case "up":
      return scrolled(choice, -1);
    case "down":
      return scrolled(choice, 1);
    case "pageup":
      return scrolled(choice, -page);
    case "pagedown":
      return scrolled(choice, page);
    default:
      return choice;
  }
}

function chosen(choice: Choice, by: number): Choice {
  return { ...choice, section: (choice.section + by + sections.length) % sections.length, scrolled: 0 };
}

function sorted(choice: Choice, change: (sorting: Sorting, columns: number) => Sorting): Choice {
  const { section, sortings } = choice;
  const changed = sortings.map((sorting, at) =>
    at === section ? change(sorting, sections[at]?.columns.length ?? 1) : sorting,
  );
  return { ...choice, sortings: changed, scrolled: 0 };
}

/** The upper bound is applied by the frame, which knows the number of rows. */
function scrolled(choice: Choice, by: number): Choice {
  return { ...choice, scrolled: Math.max(0, choice.scrolled + by) };
}
