/**
 * Finds the parameters of a statement. They are written `$name` for both databases, and numbered here, as PostgreSQL
 * requires and SQLite binds fastest. String literals, quoted names and comments are not changed.
 */

export type Dialect = "postgres" | "sqlite";

export type Sql = {
  /** The statement with `$1` (PostgreSQL) or `?1` (SQLite) instead of each name. */
  readonly text: string;
  /** The name of each numbered parameter, from 1. */
  readonly names: readonly string[];
};

/** Tokens that contain no parameter. PostgreSQL's nested comments are not regular: see `commentEnd`. */
const opaque = {
  postgres: [
    /[eE]'(?:[^'\\]|\\[^]|'')*'/y, // before names, because it starts like one
    /'(?:[^']|'')*'/y,
    /"(?:[^"]|"")*"/y,
    /--[^\n]*/y,
    /\$(?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$/y, // starts a dollar-quoted string, which ends with the same tag
    /[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*/y, // a name may contain $
  ],
  sqlite: [
    /'(?:[^']|'')*'/y,
    /"(?:[^"]|"")*"/y,
    /`(?:[^`]|``)*`/y,
    /\[[^\]]*\]/y,
    /--[^\n]*/y,
    /[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*/y,
  ],
} as const;
const parameter = /\$([a-z_][a-z0-9_]{0,62})(?![\w$])/y;
/** Native parameter syntax, which is refused: SQLite's other forms, and PostgreSQL's numbers. */
const foreign = { postgres: /\$\d+/y, sqlite: /[?]\d*|[:@#][A-Za-z_0-9]\w*|\$\w*/y } as const;

/** Statements that would end their own transaction or, like COPY, use another protocol. */
const refused = /^(?:begin|start|commit|end|rollback|abort|savepoint|release|prepare|copy)$/i;

/** Throws an Error with the fault. The database parses the SQL only when the statement runs. */
export function parseSql(sql: string, dialect: Dialect): Sql {
  const names: string[] = [];
  let text = "";
  let at = 0;
  let isOver = false;
  let firstWord: string | undefined;

  const match = (pattern: RegExp) => {
    pattern.lastIndex = at;
    return pattern.exec(sql);
  };
  while (at < sql.length) {
    const end = endOfOpaque(sql, at, dialect, match);
    if (end !== undefined) {
      const token = sql.slice(at, end);
      const isComment = token.startsWith("--") || token.startsWith("/*");
      if (!isComment) {
        if (isOver) throw new Error("it holds more than one statement");
        firstWord ??= token;
      }
      text += token;
      at = end;
      continue;
    }
    const character = sql.charAt(at);
    const named = match(parameter);
    const other = named ? null : match(foreign[dialect]);
    if (other) throw new Error(`it has the parameter ${other[0]}: use a name, such as $id`);
    if (isOver && !/[\s;]/.test(character)) throw new Error("it holds more than one statement");
    if (character === ";") isOver = true;
    const name = named?.[1];
    if (name !== undefined) {
      if (!names.includes(name)) names.push(name);
      text += `${dialect === "postgres" ? "$" : "?"}${names.indexOf(name) + 1}`;
      at += name.length + 1;
    } else {
      text += character;
      at += 1;
    }
  }
  if (firstWord === undefined) throw new Error("it is empty");
  if (refused.test(firstWord)) throw new Error(`it starts with ${firstWord}, which cannot run in a transaction`);
  return { text, names };
}

type Match = (pattern: RegExp) => RegExpExecArray | null;

function endOfOpaque(sql: string, at: number, dialect: Dialect, match: Match): number | undefined {
  if (sql.startsWith("/*", at)) return commentEnd(sql, at, dialect === "postgres");
  for (const pattern of opaque[dialect]) {
    const [token] = match(pattern) ?? [];
    if (token === undefined) continue;
    if (!token.startsWith("$")) return at + token.length;
    const end = sql.indexOf(token, at + token.length);
    if (end === -1) throw new Error(`the string that starts with ${token} does not end`);
    return end + token.length;
  }
  if (/['"`]/.test(sql.charAt(at)) && !(dialect === "postgres" && sql.charAt(at) === "`")) {
    throw new Error(`the quoted text that starts at character ${at + 1} does not end`);
  }
  return undefined;
}

function commentEnd(sql: string, start: number, areNested: boolean): number {
  let depth = 1;
  for (let at = start + 2; at < sql.length; at += 1) {
    if (sql.startsWith("*/", at)) {
      depth -= 1;
      at += 1;
      if (depth === 0) return at + 1;
    } else if (areNested && sql.startsWith("/*", at)) {
      depth += 1;
      at += 1;
    }
  }
  throw new Error(`the comment that starts at character ${start + 1} does not end`);
}
