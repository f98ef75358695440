/** Keeps secrets out of the log: the values of fields whose names mark them as secret. */

const shownInstead = "[redacted]";
/** The last one or two words of such a name, however they are joined: `apiKey`, `x-api-key`, `DB_PASSWORD`. */
const secretName =
  /(?:^|[^a-z])(?:passwords?|passwd|pwd|passphrases?|secrets?|tokens?|jwt|authorization|cookies?|credentials?|(?:api|private|secret|access|signing|encryption)[^a-z]?keys?)$/;
/** Nothing that is logged is nested deeper: anything that is gets redacted as a whole. */
const maxDepth = 32;

/** The fields as the log may show them. The same object when it holds no secret, as almost all do. */
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

/** Numbers and switches are no secrets: users of language models log numbers of tokens. */
function isSecret(name: string, value: unknown): boolean {
  if (value === null || value === undefined || typeof value === "boolean") return false;
  const words = name.replace(/(?<=[a-z0-9])(?=[A-Z])/g, "-").toLowerCase();
  return secretName.test(words) && !(typeof value === "number" && words.endsWith("tokens"));
}
