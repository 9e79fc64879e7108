/** How much more than a default run is to be tried: for whoever has the time, by the environment. */
// eslint-disable-next-line no-restricted-properties -- tests have no settings to read it through
export const testEffort = Number(process.env["TIDEMARK_TEST_SEEDS"] ?? 1);
/** Only there to end a test that would go on for ever. */
export const testTimeoutMs = 120_000 * testEffort;
