/** Precomputed indexes for reflection, so that an answer is a lookup and a copy. */
import { type DescribedFile, type DescribedFiles, withImports } from "./described-files.ts";

export type Lookups = {
  fileByName(name: string): DescribedFile | undefined;
  fileWithSymbol(symbol: string): DescribedFile | undefined;
  fileWithExtension(extendee: string, number: number): DescribedFile | undefined;
  /** Sorted. Undefined: there is no such type. */
  extensionNumbers(extendee: string): readonly number[] | undefined;
  /** The file and everything it imports, nearest first. */
  withImports(file: DescribedFile): readonly DescribedFile[];
};

export function createLookups({ files }: Pick<DescribedFiles, "files">): Lookups {
  const bySymbol = new Map<string, DescribedFile>();
  const byExtension = new Map<string, Map<number, DescribedFile>>();
  const closures = new Map<DescribedFile, readonly DescribedFile[]>();
  for (const file of files.values()) {
    closures.set(file, withImports(file));
    for (const symbol of file.symbols) bySymbol.set(symbol, file);
    for (const { extendee, number } of file.extensions) {
      const numbers = byExtension.get(extendee) ?? new Map<number, DescribedFile>();
      byExtension.set(extendee, numbers.set(number, file));
    }
  }
  return {
    fileByName: (name) => files.get(name),
    fileWithSymbol: (symbol) => bySymbol.get(symbol),
    fileWithExtension: (extendee, number) => byExtension.get(extendee)?.get(number),
    extensionNumbers(extendee) {
      const numbers = byExtension.get(extendee);
      if (numbers) return [...numbers.keys()].toSorted((a, b) => a - b);
      return bySymbol.has(extendee) ? [] : undefined;
    },
    withImports: (file) => closures.get(file) ?? [file],
  };
}
