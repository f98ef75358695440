/** Templates: text with placeholders such as `{{name}}`, without logic. */

/** A template as plain data. Has at least one of `text` and `html`. */
export type Template = {
  readonly subject: string;
  readonly text: string | undefined;
  readonly html: string | undefined;
  /** The names of all its placeholders. */
  readonly names: readonly string[];
  readonly namesInSubject: readonly string[];
};

export type Rendered = { readonly subject: string; readonly text: string; readonly html: string };

const placeholder = /\{\{\s*([A-Za-z][A-Za-z0-9_.-]{0,63})\s*\}\}/g;

/** The names of the placeholders. Throws on a `{{` that starts no placeholder. */
export function namesIn(text: string): string[] {
  const at = text.replace(placeholder, (found) => " ".repeat(found.length)).indexOf("{{");
  if (at >= 0) {
    const rest = JSON.stringify(text.slice(at, at + 20));
    throw new Error(`${rest} is no placeholder: use {{name}}, with 1 to 64 characters of [A-Za-z0-9_.-]`);
  }
  return Array.from(text.matchAll(placeholder), ([, name]) => name as string);
}

/** Values are escaped in HTML, and unchanged elsewhere. */
export function render(template: Template, values: Values): Rendered {
  return {
    subject: renderSubject(template, values),
    text: fill(template.text ?? "", values, asItIs),
    html: fill(template.html ?? "", values, escapeHtml),
  };
}

export function renderSubject({ subject }: Template, values: Values): string {
  return fill(subject, values, asItIs);
}

type Values = { readonly [name: string]: string };

function fill(text: string, values: Values, written: (value: string) => string): string {
  return text.replace(placeholder, (_, name: string) => written(values[name] ?? ""));
}

function asItIs(value: string): string {
  return value;
}

const entities: { readonly [character: string]: string } = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

function escapeHtml(value: string): string {
  return value.replace(/[&<>"']/g, (character) => entities[character] as string);
}
