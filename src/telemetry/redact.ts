/** Keeps secrets out of the log: the values of fields whose names mark them as secret. */

const shownInstead = "[redacted]";
/** The last one or two words of such a name, however they are joined: `apiKey`, `x-api-key`, `DB_PASSWORD`. */
const secretName =
  /(?:^|[^a-z])(?:passwords?|passwd|pwd|passphrases?|secrets?|tokens?|jwt|authorization|cookies?|credentials?|(?:api|private|secret|access|signing|encryption)[^a-z]?keys?)$/;
/** Values nested deeper are redacted as a whole; no log line of the server nests so deep. */
const maxDepth = 32;

/** The fields with secrets replaced. Returns the same object when it holds no secret, which is the usual case. */
export function redacted(fields: { readonly [name: string]: unknown }, depth = 0): Record<string, unknown> {
  let shown: Record<string, unknown> | undefined;
  for (const [name, value] of Object.entries(fields)) {
    const safe = isSecret(name, value) ? shownInstead : safeValue(value, depth);
    if (safe === value) continue;
    shown ??= { ...fields };
    shown[name] = safe;
  }
  return shown ?? fields;
}

function safeValue(value: unknown, depth: number): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (depth === maxDepth) return shownInstead;
  if (!Array.isArray(value)) return redacted(value as Record<string, unknown>, depth + 1);
  const items = value.map((item: unknown) => safeValue(item, depth + 1));
  return items.every((item, index) => item === value[index]) ? value : items;
}

/** Booleans are never secrets, and neither are numbers called tokens: users of language models log token counts. */
function isSecret(name: string, value: unknown): boolean {
  if (value === null || value === undefined || typeof value === "boolean") return false;
  const kebab = name.replace(/(?<=[a-z0-9])(?=[A-Z])/g, "-").toLowerCase();
  return secretName.test(kebab) && !(typeof value === "number" && kebab.endsWith("tokens"));
}
