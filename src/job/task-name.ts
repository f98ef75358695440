/** What a task may be called: one rule for the server, its settings and the command that writes a task. */
export const taskName = {
  pattern: /^[a-z][a-z0-9._-]{0,99}$/,
  /** Goes on after "is not". */
  words: "1 to 100 characters of [a-z0-9._-] starting with a letter",
} as const;
