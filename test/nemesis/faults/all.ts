import { bitFlip } from "./bit-flip.ts";
import { clockJump } from "./clock-jump.ts";
import { diskFull } from "./disk-full.ts";
import type { Fault } from "./fault.ts";
import { ioError } from "./io-error.ts";
import { kill } from "./kill.ts";
import { murder } from "./murder.ts";
import { network } from "./network.ts";
import { neverRead } from "./never-read.ts";
import { powerCut } from "./power-cut.ts";
import { rival, stop } from "./stop.ts";

/** In the order of the table. */
export const faults: readonly Fault[] = [
  ...[kill, powerCut, ioError, diskFull, murder, stop, rival, clockJump, network, neverRead, bitFlip],
];
