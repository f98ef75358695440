/** The input of a database task: checks it, and turns it into work. */
import type { FieldViolation } from "../../errors.ts";
import type { JsonValue } from "../../job/job.ts";
import { failures } from "./failures.ts";
import { type Bound, boundFor, faultOfValue } from "./parameter.ts";
import { type Database, type DatabasesSettings, givenParameters, type Statement } from "./settings.ts";
import type { Work } from "./work.ts";

export type Values = { readonly [name: string]: JsonValue };
/** `sets`: the parameters of each execution, by the path at which the input has them. */
export type Asked = {
  readonly database: string;
  readonly statement: string;
  readonly sets: ReadonlyMap<string, Values>;
};

/** Bound on the reported violations of one input: a thousand sets may repeat the same mistake. */
const maxViolations = 20;

/** The requested executions of a message: one, or one for each set. */
export const askedOnce = (input: {
  readonly database: string;
  readonly statement: string;
  readonly parameters?: Values | undefined;
}): Asked => ({ ...input, sets: new Map([["parameters", input.parameters ?? {}]]) });

export const askedForEach = (input: {
  readonly database: string;
  readonly statement: string;
  readonly sets: readonly Values[];
}): Asked => ({ ...input, sets: new Map(input.sets.map((set, index) => [`sets[${index}]`, set])) });

/** All violations, with their paths. */
export function checkAsked(asked: Asked, databases: DatabasesSettings): FieldViolation[] {
  const database = own(databases, asked.database);
  if (!database) return [unknownName("database", asked.database, databases)];
  const statement = own(database.statements, asked.statement);
  if (!statement) return [unknownName("statement", asked.statement, database.statements)];
  if (asked.sets.size === 0) return [{ field: "sets", description: "is empty: give at least one set of parameters" }];
  const violations: FieldViolation[] = [];
  for (const [path, values] of asked.sets) {
    checkValues(statement, values, (at, description) => violations.push({ field: `${path}${at}`, description }));
    if (violations.length >= maxViolations) break;
  }
  return violations;
}

function checkValues({ parameters }: Statement, values: Values, add: (at: string, description: string) => void): void {
  for (const [name, parameter] of Object.entries(parameters)) {
    const fault = faultOfValue(parameter, own(values, name));
    if (fault) add(`.${name}${fault.at}`, fault.what);
  }
  for (const name of Object.keys(values).filter((each) => !Object.hasOwn(parameters, each))) {
    const isGiven = (givenParameters as readonly string[]).includes(name);
    const known = Object.keys(parameters).join(", ") || "none";
    add(
      `.${name}`,
      isGiven ? "is set by the server: leave it out" : `is no parameter of the statement, which has: ${known}`,
    );
  }
}

/** The work of a job that writes. The input was checked at submit, but the configuration may have changed since. */
export function workOf(asked: Asked, databases: DatabasesSettings, jobId: string): Work {
  const [violation] = checkAsked(asked, databases);
  if (violation) {
    const what = `${violation.field} ${violation.description}`;
    if (violation.field === "database") throw failures.unknownDatabase(what);
    throw violation.field === "statement" ? failures.unknownStatement(what) : failures.badParameters(what);
  }
  const { location, statements } = databases[asked.database] as Database;
  const { sql, names, parameters, maxRows, timeoutMs, unknownOutcome } = statements[asked.statement] as Statement;
  const bind = (values: Values, index: number): Bound[] =>
    names.map((name) => {
      const parameter = own(parameters, name);
      if (parameter) return boundFor(location.dialect, parameter, own(values, name));
      return name === "job_id"
        ? jobId
        : boundFor(location.dialect, { type: "integer", isList: false, isNullable: false }, index);
    });
  return {
    ...{ sql, maxRows, timeoutMs, unknownOutcome, isReadOnly: false },
    sets: [...asked.sets.values()].map(bind),
  };
}

function own<T>(all: { readonly [name: string]: T }, name: string): T | undefined {
  return Object.hasOwn(all, name) ? all[name] : undefined;
}

const maxShownChars = 100;

function unknownName(field: string, given: string, known: object): FieldViolation {
  if (given === "") return { field, description: "is missing" };
  const names = Object.keys(known).join(", ") || "none";
  return {
    field,
    description: `is ${JSON.stringify(given.slice(0, maxShownChars))}, which is not configured; there are: ${names}`,
  };
}
