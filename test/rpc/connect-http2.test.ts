import { registerBehaviour } from "./behaviour.ts";
import { ways } from "./fixtures.ts";

registerBehaviour(ways.connectHttp2);
