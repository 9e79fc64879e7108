import { PassThrough } from "node:stream";
import { Outcome, Reason, TidemarkError } from "@tidemark/client";
import { describe, expect, test } from "vitest";
import { tellError } from "./errors.ts";

function told(error: unknown, output: "text" | "json" = "text"): string {
  const stderr = new PassThrough();
  const io = {
    env: {},
    workingDirectory: "/",
    stdin: new PassThrough(),
    stdout: new PassThrough(),
    stderr,
    interrupted: new AbortController().signal,
  };
  tellError(io, error, { output, server: "example:4640" });
  return String(stderr.read());
}

const unavailable = (message: string) =>
  new TidemarkError({ reason: Reason.UNAVAILABLE, message, outcome: Outcome.NOT_APPLIED });

describe("a failure", () => {
  test("of a connection that nobody takes says who does not answer, and how to start a cluster", () => {
    const text = told(unavailable("No connection established. Last error: Error: connect ECONNREFUSED 10.0.0.1:4640"));
    expect(text).toMatch(/^tidemark: Nobody answers at example:4640 \(ECONNREFUSED\)\n/);
    expect(text).toContain("Is a cluster running at example:4640?");
  });

  test("that a server explains is told in its words alone", () => {
    const text = told(unavailable('The listener "client" speaks TLS, and this connection does not.'));
    expect(text).toBe(
      'tidemark: The listener "client" speaks TLS, and this connection does not.\n' +
        "  reason REASON_UNAVAILABLE, outcome not applied\n",
    );
  });

  test("for a topic that is not there does not say twice how it is made", () => {
    const text = told(new TidemarkError({ reason: Reason.UNKNOWN_TOPIC, message: "There is no topic t", topic: "t" }));
    expect(text).toContain("`tidemark topic list`");
    expect(text).not.toContain("topic create");
  });

  test("is an object for programs, also where it is none of the closed set", () => {
    expect(JSON.parse(told(unavailable("gone"), "json"))).toMatchObject({ error: { reason: "REASON_UNAVAILABLE" } });
    expect(JSON.parse(told(new Error("odd"), "json"))).toEqual({ error: { message: "odd" } });
  });
});
