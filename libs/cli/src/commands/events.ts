import { reasonName, TidemarkError } from "@tidemark/client";
import { createNodeRuntime, delay } from "@tidemark/runtime";
import type { Command } from "commander";
import { eventJson, eventLine } from "../events/event-line.ts";
import { exitCodes } from "../exit-codes.ts";
import type { Io } from "../io.ts";
import { print, printJson } from "../output.ts";
import { positiveNumber } from "./arguments.ts";
import { type Finish, runWithClient, type ServerFlags, type Session, withExample, withServer } from "./command.ts";

interface TailFlags extends ServerFlags {
  readonly topic?: string;
  readonly max?: number;
}

/** Before a stream that broke is opened again, in milliseconds. */
const pauseMs = 500;

/** `tidemark events tail`. */
export function addEventCommands(program: Command, io: Io, finish: Finish): void {
  const events = program.command("events").description("what happens in the cluster");
  const tail = events
    .command("tail")
    .description("show elections, ISR changes, sessions and receipts as they happen, until Ctrl-C")
    .option("--topic <name>", "of this topic only")
    .option("--max <count>", "end after so many", positiveNumber);
  withExample(withServer(tail), "tidemark events tail --topic orders -o json").action(async (flags: TailFlags) => {
    finish(await runWithClient(io, flags, (session) => run(io, flags, session)));
  });
}

/** Goes on at the next active controller when one is lost, and says that something may have been missed. */
async function run(io: Io, flags: TailFlags, session: Session): Promise<number> {
  const { clock, scheduler } = createNodeRuntime();
  const { signal, timeoutMs } = session.call;
  let left = flags.max ?? Number.POSITIVE_INFINITY;
  let heardMs = clock.monotonicMs();
  for (;;) {
    try {
      for await (const event of session.client.admin.watchEvents({ topic: flags.topic ?? "" }, { signal })) {
        heardMs = clock.monotonicMs();
        if (!show(io, flags, event)) continue;
        left -= 1;
        if (left <= 0) return exitCodes.done;
      }
    } catch (error) {
      if (signal.aborted) return exitCodes.interrupted;
      const mayPass = error instanceof TidemarkError && error.retriable;
      if (!mayPass || clock.monotonicMs() - heardMs > timeoutMs) throw error;
      io.stderr.write(`tidemark: the stream of events broke (${reasonName(error.reason)}); some may be missing\n`);
    }
    await delay(scheduler, pauseMs, signal);
  }
}

function show(io: Io, { output }: TailFlags, event: Parameters<typeof eventLine>[0]): boolean {
  const shown = output === "json" ? eventJson(event) : eventLine(event);
  if (shown === undefined) return false;
  if (typeof shown === "string") print(io, shown);
  else printJson(io, shown);
  return true;
}
