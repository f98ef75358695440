/** Types of transport-free services: every front end calls the same functions. */
import type { DescMethod, DescService, Message, MessageShape } from "@bufbuild/protobuf";
import type { CallContext } from "./call.ts";

type Unary<Req, Res> = (request: Req, call: CallContext) => Promise<Res>;
type ServerStream<Req, Res> = (request: Req, call: CallContext) => AsyncIterable<Res>;
type BidiStream<Req, Res> = (requests: AsyncIterable<Req>, call: CallContext) => AsyncIterable<Res>;

type FunctionOf<M extends Pick<DescMethod, "input" | "output" | "methodKind">> = {
  unary: Unary<MessageShape<M["input"]>, MessageShape<M["output"]>>;
  server_streaming: ServerStream<MessageShape<M["input"]>, MessageShape<M["output"]>>;
  client_streaming: never;
  bidi_streaming: BidiStream<MessageShape<M["input"]>, MessageShape<M["output"]>>;
}[M["methodKind"]];

/** One function for each RPC of a service. Callers pass what they throw to `toMillpondError`. */
export type Implementation<S extends Pick<DescService, "method">> = {
  readonly [Name in keyof S["method"]]: FunctionOf<S["method"][Name]>;
};

/** A service and its functions, `AnyUnary` or `AnyStream`, by the local names of its methods. */
export type Served = { readonly service: DescService; readonly functions: { readonly [localName: string]: unknown } };

export type AnyUnary = (request: Message, call: CallContext) => Promise<Message>;
/** For a bidirectional method, `request` is an iterable of requests. */
export type AnyStream = (request: unknown, call: CallContext) => AsyncIterable<Message>;

export function served<S extends Omit<DescService, "method"> & Pick<DescService, "method">>(
  service: S,
  functions: Implementation<S>,
): Served {
  return { service, functions };
}
