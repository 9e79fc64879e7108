/**
 * The messages of one partition on a produce stream. Many are in flight, and yet they are appended in the order of the
 * stream, through every change of the leader:
 *
 * 1. A message that was refused and may be sent again is held. Nothing more is sent then.
 * 2. When nothing is in flight any more, what is held goes first, in its order, then what came meanwhile.
 * 3. A held message is given up, with the error of its refusal, as soon as one after it was applied or may have been:
 *    sent again it would stand behind what it came before.
 * 4. A message with a producer id may be sent again whatever became of it, and of those after it: its leader stores it
 *    once, and nothing behind it of the same producer before (R11). What ran ahead of one that is sent again is held too.
 *    After a try of unknown outcome it ends as unknown, unless a later try tells more (P12).
 */
import { Outcome, Reason } from "@tidemark/proto/common/v1";
import type { TidemarkError } from "@tidemark/rpc";
import { inDoubt, mayRepeat } from "../routing/call-leader.ts";

/** What a lane does to the world. */
export interface LaneDriver<Message> {
  /**
   * Sends one message to the leader. "later": the way there is full, and `pump` will be called when it is not. An error
   * where there is nowhere to send it to.
   */
  send(message: Message): "sent" | "later" | TidemarkError;
  /** Tells the producer that it failed. Of what was applied it is told by whoever calls `onApplied`. */
  settle(message: Message, error: TidemarkError): void;
  /** Whether it has a producer id. */
  isIdempotent(message: Message): boolean;
  /** Resolves with whether what is held is to be sent again. Must not reject. */
  pause(held: readonly Message[], error: TidemarkError): Promise<boolean>;
}

export interface PartitionLane<Message> {
  add(message: Message): void;
  /** Sends what can be sent now. */
  pump(): void;
  onApplied(message: Message): void;
  onFailed(message: Message, error: TidemarkError): void;
  /** Settles what was never sent, or was refused. What is in flight is sent once and no more. */
  abandon(error: TidemarkError): void;
}

interface Held<Message> {
  readonly message: Message;
  readonly error: TidemarkError;
}

/** Nothing of the producer stands where the batch would go: an earlier one is missing. */
const isGap: ReadonlySet<Reason> = new Set([Reason.OUT_OF_ORDER_SEQUENCE, Reason.UNKNOWN_PRODUCER]);

export function createPartitionLane<Message extends object>(driver: LaneDriver<Message>): PartitionLane<Message> {
  const orders = new WeakMap<Message, number>();
  /** Messages with a producer id of which a try ended as unknown. */
  const doubtful = new WeakSet<Message>();
  const inFlight = new Set<Message>();
  let nextOrder = 0;
  let waiting: Message[] = [];
  let held: Held<Message>[] = [];
  let isPausing = false;
  let isAbandoned = false;
  /** Order of the last message that was applied, or may have been. */
  let lastApplied = -1;

  const orderOf = (message: Message) => orders.get(message) ?? 0;

  const pump = () => {
    while (held.length === 0 && !isPausing) {
      const message = waiting.shift();
      if (message === undefined) return;
      // Its failure may be told before `send` returns.
      inFlight.add(message);
      const sent = driver.send(message);
      if (sent === "sent") continue;
      inFlight.delete(message);
      if (sent === "later") {
        waiting.unshift(message);
        return;
      }
      refuse(message, sent);
    }
  };

  const refuse = (message: Message, error: TidemarkError) => {
    if (!isAbandoned && mayGoAgain(message, error)) held.push({ message, error });
    else settleFailed(message, error);
    retryWhenQuiet();
  };

  const mayGoAgain = (message: Message, error: TidemarkError) => {
    if (!driver.isIdempotent(message)) return orderOf(message) > lastApplied && mayRepeat(error, false);
    if (error.outcome === Outcome.UNKNOWN) doubtful.add(message);
    const ranAhead = isGap.has(error.reason) && held.some((each) => orderOf(each.message) < orderOf(message));
    return ranAhead || mayRepeat(error, true);
  };

  const settle = (message: Message, error: TidemarkError) => {
    driver.settle(message, doubtful.has(message) ? inDoubt(error) : error);
  };

  const settleFailed = (message: Message, error: TidemarkError) => {
    settle(message, error);
    if (error.outcome !== Outcome.NOT_APPLIED) giveUpBefore(message);
  };

  const giveUpBefore = (applied: Message) => {
    lastApplied = Math.max(lastApplied, orderOf(applied));
    const isLost = ({ message }: Held<Message>) => orderOf(message) < orderOf(applied) && !driver.isIdempotent(message);
    const lost = held.filter(isLost);
    held = held.filter((each) => !isLost(each));
    for (const { message, error } of lost) settle(message, error);
  };

  const retryWhenQuiet = () => {
    const last = held.at(-1);
    if (last === undefined || inFlight.size > 0 || isPausing) return;
    isPausing = true;
    held.sort((a, b) => orderOf(a.message) - orderOf(b.message));
    const messages = held.map(({ message }) => message);
    driver.pause(messages, last.error).then(resume, () => resume(false));
  };

  const resume = (again: boolean) => {
    isPausing = false;
    const back = held;
    held = [];
    if (again) waiting = [...back.map(({ message }) => message), ...waiting];
    else for (const { message, error } of back) settle(message, error);
    pump();
  };

  return {
    add(message) {
      orders.set(message, nextOrder++);
      waiting.push(message);
      pump();
    },
    pump,
    onApplied(message) {
      inFlight.delete(message);
      giveUpBefore(message);
      if (held.length === 0) pump();
      else retryWhenQuiet();
    },
    onFailed(message, error) {
      inFlight.delete(message);
      refuse(message, error);
      pump();
    },
    abandon(error) {
      isAbandoned = true;
      for (const each of held.splice(0)) settle(each.message, each.error);
      for (const message of waiting.splice(0)) settle(message, error);
    },
  };
}
