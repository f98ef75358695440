/** The whole screen of a terminal: keys come in, lines go out, and however it ends the terminal is as it was before. */
import { emitKeypressEvents, type Key } from "node:readline";

export type Screen = {
  readonly columns: number;
  readonly rows: number;
  /** Shows these lines in place of all that was shown; those below the last row are cut. */
  draw(lines: readonly string[]): void;
  /** Gives the terminal back. Safe to call twice. */
  close(): void;
};

export type ScreenListener = {
  /** A key by its name: `r`, `?`, `up`, `space`, `escape`, `shift-tab`, `ctrl-c`. */
  onKey(key: string): void;
  /** The size is another, or something else has written to the screen: draw again. */
  onRedraw(): void;
  /** The keyboard is gone, as when a terminal's window is closed. */
  onGone(): void;
};

export type ScreenStreams = {
  readonly stdin: NodeJS.ReadStream;
  readonly stdout: NodeJS.WriteStream;
  /** What a line may contain: everything else in it is made visible. */
  readonly safe: (line: string) => string;
};

/** The alternate screen, without a cursor, and without wrapping: a line that is too wide is cut. */
const enter = "\u001b[?1049h\u001b[?25l\u001b[?7l";
const leave = "\u001b[?7h\u001b[?25h\u001b[?1049l";
const endSignals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/**
 * Takes the screen; undefined when it is not a terminal. It is given back by `close`, by a signal, which then ends the process
 * as it would have otherwise, and by the end of the process, whatever the reason.
 */
export function openScreen({ stdin, stdout, safe }: ScreenStreams, listener: ScreenListener): Screen | undefined {
  if (!stdin.isTTY || !stdout.isTTY) return undefined;
  let isOpen = false;

  const take = () => {
    isOpen = true;
    stdin.setRawMode(true);
    stdout.write(enter);
  };
  const giveBack = () => {
    if (!isOpen) return;
    isOpen = false;
    stdin.setRawMode(false);
    stdout.write(leave);
  };
  const pressed = (text: string | undefined, key: Key) => listener.onKey(keyName(text, key));
  const gone = () => listener.onGone();
  const redraw = () => listener.onRedraw();
  /** Whoever stopped the process has used the terminal since. */
  const continued = () => {
    take();
    redraw();
  };
  const close = () => {
    giveBack();
    stdin.off("keypress", pressed).off("end", gone).off("error", gone).pause();
    stdout.off("resize", redraw);
    process.off("SIGCONT", continued).off("exit", giveBack);
    for (const signal of endSignals) process.off(signal, ended);
  };
  const ended = (signal: NodeJS.Signals) => {
    close();
    process.kill(process.pid, signal);
  };

  emitKeypressEvents(stdin);
  stdin.on("keypress", pressed).on("end", gone).on("error", gone).resume();
  stdout.on("resize", redraw);
  process.on("SIGCONT", continued).on("exit", giveBack);
  for (const signal of endSignals) process.on(signal, ended);
  take();
  return {
    get columns() {
      return stdout.columns;
    },
    get rows() {
      return stdout.rows;
    },
    draw: (lines) => {
      const shown = lines.slice(0, stdout.rows).map((line) => `\u001b[2K${safe(line)}`);
      const rest = shown.length < stdout.rows ? "\r\n\u001b[J" : "";
      stdout.write(`\u001b[H${shown.join("\r\n")}${rest}`);
    },
    close,
  };
}

function keyName(text: string | undefined, { name, ctrl, shift }: Key): string {
  const plain = name ?? text ?? "";
  if (ctrl) return `ctrl-${plain}`;
  return shift && plain === "tab" ? "shift-tab" : plain;
}
