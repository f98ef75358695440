/**
 * Types of the schemas with which a task declares its JSON input or output: a Standard Schema or a plain JSON Schema.
 * The third way is a protobuf message. Types only, for task files and for clients.
 */
import type { JsonValue } from "./job/job.ts";

/** A validator of zod, valibot, ArkType and others, see https://standardschema.dev. */
export type StandardSchema<Input = unknown, Output = Input> = {
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => StandardResult<Output> | Promise<StandardResult<Output>>;
    readonly types?: { readonly input: Input; readonly output: Output } | undefined;
  };
};

export type StandardResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly StandardIssue[] };

export type StandardIssue = {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
};

/** A JSON Schema of draft 2020-12, or of draft 7 with its `$schema`. One of these keywords is needed; all others may be used. */
export type JsonSchema = {
  readonly $schema?: unknown;
  readonly $ref?: unknown;
  readonly type?: unknown;
  readonly const?: unknown;
  readonly enum?: unknown;
  readonly anyOf?: unknown;
  readonly oneOf?: unknown;
  readonly allOf?: unknown;
  readonly properties?: unknown;
  readonly items?: unknown;
};

/** The type that a client sends for a schema. */
export type SentAs<S> =
  S extends StandardSchema<infer Input, infer _> ? Input : S extends JsonSchema ? DescribedBy<S> : unknown;

/** The type that a schema produces: the same, unless it transforms. */
export type ReadAs<S> =
  S extends StandardSchema<infer _, infer Output> ? Output : S extends JsonSchema ? DescribedBy<S> : unknown;

/**
 * The values that a JSON Schema written in TypeScript describes, as far as TypeScript can express them; any JSON if the
 * compiler does not know the schema, such as that of a `.json` file, or if it uses `$ref` or `allOf`.
 */
export type DescribedBy<S> = S extends { readonly const: infer Value }
  ? Value
  : S extends { readonly enum: readonly (infer Value)[] }
    ? Value
    : S extends { readonly anyOf: readonly (infer Part)[] } | { readonly oneOf: readonly (infer Part)[] }
      ? DescribedBy<Part>
      : S extends { readonly type: readonly (infer Name)[] }
        ? OfType<Name, S>
        : S extends { readonly type: infer Name }
          ? OfType<Name, S>
          : JsonValue;

type OfType<Name, S> = Name extends keyof Scalars
  ? Scalars[Name]
  : Name extends "array"
    ? (S extends { readonly items: infer Item } ? DescribedBy<Item> : JsonValue)[]
    : Name extends "object"
      ? FieldsOf<S>
      : JsonValue;

type Scalars = { string: string; number: number; integer: number; boolean: boolean; null: null };

type FieldsOf<S> = S extends { readonly properties: infer Fields }
  ? Flat<
      { -readonly [Name in keyof Fields as Name extends RequiredOf<S> ? Name : never]: DescribedBy<Fields[Name]> } & {
        -readonly [Name in keyof Fields as Name extends RequiredOf<S> ? never : Name]?: DescribedBy<Fields[Name]>;
      }
    >
  : { [name: string]: S extends { readonly additionalProperties: infer Value } ? DescribedBy<Value> : JsonValue };

/** If the compiler does not know the required names, every property is optional. */
type RequiredOf<S> = S extends { readonly required: readonly (infer Name)[] }
  ? string extends Name
    ? never
    : Name
  : never;

type Flat<T> = { [Name in keyof T]: T[Name] };
