export const exchangeCases = (..._: unknown[]) => {};
