/** What the bare echo's two ends agree on. */

export const submitMethod = "/millpond.bench.Echo/Submit";
export const messagesMethod = "/millpond.bench.Echo/Messages";
