export const exchangeEndCases = (..._: unknown[]) => {};
