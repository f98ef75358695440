/**
 * Reads sections of the configuration: defaults, bounds, and a list of all mistakes instead of only the first. Messages
 * never quote a value: in the wrong position, such as a URL instead of a section, it may contain a password.
 */
import { readFileSync } from "node:fs";

export type Section = { readonly [key: string]: unknown };

/** One section, with its path for messages. A wrong value adds to `mistakes`, and the default is returned. */
export type Fields = {
  readonly given: Section;
  readonly path: string;
  readonly mistakes: string[];
  /** Adds a mistake about this key. */
  add(key: string, what: string): void;
  /** Adds that the key's value must be something else. */
  refuse(key: string, what: string): void;
  text(key: string, pattern: RegExp, what: string): string | undefined;
  whole(key: string, least: number, most: number, fallback: number): number;
  oneOf<const T extends string>(key: string, allowed: readonly T[], fallback: T): T;
  /** The content of a file that must exist at the start. */
  file(key: string): string | undefined;
  /** Adds a mistake for each key except these. */
  refuseOthers(...known: readonly string[]): void;
  /** A nested section by its key; a missing one is empty. */
  section(key: string): Fields;
  /** The result of `readOne` for each nested section, by its name. */
  each<T>(readOne: (fields: Fields) => T): { readonly [name: string]: T };
};

/** Runs `read` on the section. Throws one Error that lists every mistake. */
export function readSection<T>(given: Section, read: (fields: Fields) => T): T {
  const mistakes: string[] = [];
  const settings = read(fieldsOf(given, "", mistakes));
  if (mistakes.length > 0) throw new Error(mistakes.join("; "));
  return settings;
}

export function isSection(given: unknown): given is Section {
  return typeof given === "object" && given !== null && !Array.isArray(given);
}

function fieldsOf(given: Section, path: string, mistakes: string[]): Fields {
  const pathOf = (key: string) => (path === "" ? shownKey(key) : `${path}.${shownKey(key)}`);
  const add = (key: string, what: string) => void mistakes.push(`${pathOf(key)} ${what}`);
  const refuse = (key: string, what: string) => add(key, `is ${kindOf(given[key])} and must be ${what}`);
  const section = (key: string): Fields => {
    const inner = given[key] ?? {};
    if (!isSection(inner)) refuse(key, "a section");
    return fieldsOf(isSection(inner) ? inner : {}, pathOf(key), mistakes);
  };
  return {
    ...{ given, path, mistakes, add, refuse, section },
    text(key, pattern, what) {
      const value = given[key];
      if (value === undefined || (typeof value === "string" && pattern.test(value))) return value;
      refuse(key, what);
      return undefined;
    },
    whole(key, least, most, fallback) {
      const value = given[key];
      if (value === undefined) return fallback;
      if (Number.isInteger(value) && (value as number) >= least && (value as number) <= most) return value as number;
      refuse(key, `a whole number from ${least} to ${most}`);
      return fallback;
    },
    oneOf(key, allowed, fallback) {
      if (given[key] === undefined) return fallback;
      const found = allowed.find((each) => each === given[key]);
      if (found === undefined) refuse(key, `one of ${allowed.join(", ")}`);
      return found ?? fallback;
    },
    file(key) {
      if (given[key] === undefined) return undefined;
      if (typeof given[key] !== "string") {
        refuse(key, "the path of a file");
        return undefined;
      }
      try {
        return readFileSync(given[key], "utf8");
      } catch (error) {
        refuse(key, `a file that can be read: ${(error as NodeJS.ErrnoException).code}`);
        return undefined;
      }
    },
    refuseOthers(...known) {
      for (const key of Object.keys(given).filter((each) => !known.includes(each))) {
        add(key, `is not a setting; the settings are: ${known.join(", ")}`);
      }
    },
    each(readOne) {
      const names = Object.keys(given).filter((name) => {
        const isName = /^[a-z][a-z0-9._-]{0,99}$/.test(name);
        if (!isName) add(name, "is not a valid name: use 1 to 100 characters of [a-z0-9._-], starting with a letter");
        return isName;
      });
      return Object.fromEntries(names.map((name) => [name, readOne(section(name))]));
    },
  };
}

/** Describes a value without its text. Numbers are shown. */
function kindOf(value: unknown): string {
  if (typeof value === "number" || typeof value === "boolean" || value === null) return String(value);
  if (typeof value === "string" && value.includes("://")) return "a URL";
  if (typeof value === "string") return value === "" ? "empty" : "another text";
  return Array.isArray(value) ? "a list" : "a section";
}

/** A key may also be a URL, if a line break or quotes are missing. */
function shownKey(key: string): string {
  return /^[\w.-]{1,100}$/.test(key) ? key : "a key";
}
