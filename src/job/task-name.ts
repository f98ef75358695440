/** The rule for names of tasks, for the server, its settings and the command that creates a task. */
export const taskName = {
  pattern: /^[a-z][a-z0-9._-]{0,99}$/,
  /** Continues a message after "is not". */
  words: "1 to 100 characters of [a-z0-9._-] starting with a letter",
} as const;
