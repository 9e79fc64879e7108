import type { Endpoint } from "@tidemark/metadata";

/**
 * What trying to connect to an endpoint showed.
 *
 * | result      | meaning                                                                                    |
 * |-------------|--------------------------------------------------------------------------------------------|
 * | reached     | something accepted the connection                                                          |
 * | refused     | the machine answers and nothing listens there: the process is gone                         |
 * | unreachable | anything else, silence above all: it proves nothing                                        |
 */
export type ProbeResult = "reached" | "refused" | "unreachable";

/** Tries to connect once, for at most `timeoutMs`. Never rejects. */
export type Probe = (endpoint: Endpoint, timeoutMs: number) => Promise<ProbeResult>;
