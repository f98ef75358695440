import type { Pool } from "../../pool/pool.ts";
import type { Dispatcher } from "./dispatcher.ts";

/** Jobs on their way to one kind of workers. */
export type Lane = { readonly pool: Pool; readonly dispatcher: Dispatcher };
export type EnginePool = Lane & { readonly suspects: Lane };
