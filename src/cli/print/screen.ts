/** Full-screen mode of a terminal: reads keys and draws lines, and always restores the terminal at the end. */
import { emitKeypressEvents, type Key } from "node:readline";

export type Screen = {
  readonly columns: number;
  readonly rows: number;
  /** Replaces the screen's contents with these lines; those below the last row are cut off. */
  draw(lines: readonly string[]): void;
  /** Restores the terminal. Safe to call twice. */
  close(): void;
};

export type ScreenListener = {
  /** A key by its name: `r`, `?`, `up`, `space`, `escape`, `shift-tab`, `ctrl-c`. */
  onKey(key: string): void;
  /** The size has changed, or something else has written to the screen: draw again. */
  onRedraw(): void;
  /** Input has ended, such as when the terminal's window is closed. */
  onGone(): void;
};

export type ScreenStreams = {
  readonly stdin: NodeJS.ReadStream;
  readonly stdout: NodeJS.WriteStream;
  /** Escapes everything that a line may not contain. */
  readonly safe: (line: string) => string;
};

/** The alternate screen without cursor and line wrapping: a line that is too wide is cut off. */
const enter = "\u001b[?1049h\u001b[?25l\u001b[?7l";
const leave = "\u001b[?7h\u001b[?25h\u001b[?1049l";
const endSignals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/**
 * Enters full-screen mode; undefined when the output is not a terminal. The terminal is restored by `close`, by a
 * signal, which then ends the process as usual, and by any other end of the process.
 */
export function openScreen({ stdin, stdout, safe }: ScreenStreams, listener: ScreenListener): Screen | undefined {
  if (!stdin.isTTY || !stdout.isTTY) return undefined;
  let isOpen = false;

  const take = () => {
    isOpen = true;
    stdin.setRawMode(true);
    stdout.write(enter);
  };
  const restore = () => {
    if (!isOpen) return;
    isOpen = false;
    stdin.setRawMode(false);
    stdout.write(leave);
  };
  const pressed = (text: string | undefined, key: Key) => listener.onKey(keyName(text, key));
  const gone = () => listener.onGone();
  const redraw = () => listener.onRedraw();
  /** After a stop (Ctrl-Z), another program may have used the terminal. */
  const continued = () => {
    take();
    redraw();
  };
  const close = () => {
    restore();
    stdin.off("keypress", pressed).off("end", gone).off("error", gone).pause();
    stdout.off("resize", redraw);
    process.off("SIGCONT", continued).off("exit", restore);
    for (const signal of endSignals) process.off(signal, ended);
  };
  const ended = (signal: NodeJS.Signals) => {
    close();
    process.kill(process.pid, signal);
  };

  emitKeypressEvents(stdin);
  stdin.on("keypress", pressed).on("end", gone).on("error", gone).resume();
  stdout.on("resize", redraw);
  process.on("SIGCONT", continued).on("exit", restore);
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
