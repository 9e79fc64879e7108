import { ClusterService } from "@tidemark/proto/cluster/v1";
import { Outcome, Reason } from "@tidemark/proto/common/v1";
import { createChannelPool, createRpcClient, TidemarkError } from "@tidemark/rpc";
import { createManualTime, createSeededRandom } from "@tidemark/runtime";
import { waitFor } from "@tidemark/testkit";
import { createTcpProxy } from "@tidemark/testkit/tcp-proxy";
import { afterEach, describe, expect, it } from "vitest";
import { type ActiveController, backoffMs, createActiveController } from "./active-controller.ts";
import { type FakeController, runtime, startFakeController } from "./testing/fake-controller.ts";
import { beginningMs } from "./whereabouts.ts";

const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function controller(): Promise<FakeController> {
  const started = await startFakeController();
  cleanups.push(() => started.stop());
  return started;
}

function wayTo(...endpoints: readonly string[]): ActiveController {
  const pool = createChannelPool({ runtime });
  cleanups.push(() => pool.close());
  return createActiveController({ endpoints, pool, runtime });
}

const register = (
  way: ActiveController,
  options: { isRepeatable?: boolean; signal?: AbortSignal; patienceMs?: number } = {},
) =>
  way.call((channel, signal) => createRpcClient(ClusterService, channel).register({}, { timeoutMs: 10_000, signal }), {
    signal: options.signal ?? new AbortController().signal,
    trafficClass: "control",
    isRepeatable: options.isRepeatable ?? false,
    ...(options.patienceMs === undefined ? {} : { patienceMs: options.patienceMs }),
  });
const failsOnce = (target: FakeController, error: TidemarkError) => {
  let calls = 0;
  target.register = () => {
    calls += 1;
    if (calls === 1) throw error;
    return { brokerEpoch: calls };
  };
  return () => calls;
};
const notController = (hint?: string, outcome: Outcome = Outcome.NOT_APPLIED) =>
  new TidemarkError({
    reason: Reason.NOT_CONTROLLER,
    message: "not me",
    outcome,
    ...(hint === undefined ? {} : { controller: { id: 2, endpoint: hint, controllerEpoch: 1 } }),
  });
const lost = () => new TidemarkError({ reason: Reason.UNAVAILABLE, message: "lost", outcome: Outcome.UNKNOWN });

describe("the way to the active controller", () => {
  it("follows a hint, and remembers it", async () => {
    const [standby, active] = [await controller(), await controller()];
    standby.register = () => {
      throw notController(active.endpoint);
    };
    active.register = () => ({ brokerEpoch: 7 });
    const way = wayTo(standby.endpoint);
    expect((await register(way)).brokerEpoch).toBe(7);
    expect(way.endpoint).toBe(active.endpoint);
  });

  it("turns to the next endpoint where one gives no hint, or is not there", async () => {
    const [gone, standby, active] = [await controller(), await controller(), await controller()];
    await gone.stop();
    standby.register = () => {
      throw notController();
    };
    active.register = () => ({ brokerEpoch: 7 });
    const way = wayTo(gone.endpoint, standby.endpoint, active.endpoint);
    expect((await register(way)).brokerEpoch).toBe(7);
    expect(way.endpoint).toBe(active.endpoint);
  });

  it("comes back to the endpoints that it was given when a hint leads nowhere", async () => {
    const [only, gone] = [await controller(), await controller()];
    await gone.stop();
    const calls = failsOnce(only, notController(gone.endpoint));
    expect((await register(wayTo(only.endpoint))).brokerEpoch).toBe(2);
    expect(calls()).toBe(2);
  });
});

describe("a call to it", () => {
  it("fails with what the last try found when its patience is over", async () => {
    const gone = await controller();
    await gone.stop();
    const clock = { ...runtime.clock };
    let nowMs = 0;
    clock.monotonicMs = () => (nowMs += 1000);
    const pool = createChannelPool({ runtime });
    cleanups.push(() => pool.close());
    const way = createActiveController({ endpoints: [gone.endpoint], pool, runtime: { ...runtime, clock } });
    let tries = 0;
    const call = way.call(
      (channel) => {
        tries += 1;
        return createRpcClient(ClusterService, channel).register({});
      },
      { signal: new AbortController().signal, trafficClass: "control", isRepeatable: false, patienceMs: 2500 },
    );
    await expect(call).rejects.toMatchObject({ reason: Reason.UNAVAILABLE, outcome: Outcome.NOT_APPLIED });
    expect(tries).toBe(4);
  });

  it("that may have been carried out is not repeated (P12)", async () => {
    const one = await controller();
    const calls = failsOnce(one, lost());
    await expect(register(wayTo(one.endpoint))).rejects.toMatchObject({ outcome: Outcome.UNKNOWN });
    expect(calls()).toBe(1);
  });

  it("of which a part was carried out is not repeated, though the controller was deposed (P12)", async () => {
    const one = await controller();
    const calls = failsOnce(one, notController(undefined, Outcome.UNKNOWN));
    await expect(register(wayTo(one.endpoint))).rejects.toMatchObject({ outcome: Outcome.UNKNOWN });
    expect(calls()).toBe(1);
  });

  it("is repeated where its caller says that this does no harm", async () => {
    const one = await controller();
    failsOnce(one, lost());
    expect((await register(wayTo(one.endpoint), { isRepeatable: true })).brokerEpoch).toBe(2);
  });

  it("waits out a seal where its patience has no end, and tells of it where it has", async () => {
    const one = await controller();
    const sealed = new TidemarkError({ reason: Reason.METADATA_SEALED, message: "sealed" });
    const calls = failsOnce(one, sealed);
    expect((await register(wayTo(one.endpoint))).brokerEpoch).toBe(2);
    expect(calls()).toBe(2);
    failsOnce(one, sealed);
    await expect(register(wayTo(one.endpoint), { patienceMs: 1000 })).rejects.toMatchObject({ reason: sealed.reason });
  });

  it("is not repeated for an error that another controller would give too", async () => {
    const one = await controller();
    const calls = failsOnce(one, new TidemarkError({ reason: Reason.DUPLICATE_BROKER_ID, message: "taken" }));
    await expect(register(wayTo(one.endpoint), { isRepeatable: true })).rejects.toMatchObject({
      reason: Reason.DUPLICATE_BROKER_ID,
    });
    expect(calls()).toBe(1);
  });

  it("ends with the signal's reason", async () => {
    const one = await controller();
    let calls = 0;
    const refuse = () => {
      calls += 1;
      return Promise.reject(notController());
    };
    const abort = new AbortController();
    const { signal } = abort;
    const call = wayTo(one.endpoint).call(refuse, { signal, trafficClass: "control", isRepeatable: false });
    const ended = expect(call).rejects.toThrow("enough");
    await waitFor("the first try", () => calls > 0);
    abort.abort(new Error("enough"));
    await ended;
  });
});

describe("a controller that says nothing any more", () => {
  /** Two controllers, of which the first takes calls and answers none; whoever listens to both hears the second. */
  async function frozen() {
    const [silent, other] = [await controller(), await controller()];
    let taken = 0;
    silent.register = () => {
      taken += 1;
      return new Promise(() => undefined);
    };
    other.register = () => ({ brokerEpoch: 7 });
    const way = wayTo(silent.endpoint, other.endpoint);
    const listening = new AbortController();
    const followed = way.follow(listening.signal);
    cleanups.push(async () => {
      listening.abort();
      await followed;
    });
    const replace = () => other.tell({ controllerEpoch: 2, controllerId: 2, endpoint: other.endpoint });
    return { silent, other, way, replace, taken: () => taken };
  }

  it("is left when another one tells that it has taken its place: what was asked may have been done (P12)", async () => {
    const { way, replace, taken } = await frozen();
    const call = register(way);
    const failed = expect(call).rejects.toMatchObject({
      reason: Reason.METADATA_OUTCOME_UNKNOWN,
      outcome: Outcome.UNKNOWN,
    });
    await waitFor("the call to arrive", () => taken() === 1);
    replace();
    await failed;
    expect((await register(way)).brokerEpoch).toBe(7);
  });

  it("is left by a call that may be repeated, which the other one answers", async () => {
    const { way, replace, taken } = await frozen();
    const call = register(way, { isRepeatable: true });
    await waitFor("the call to arrive", () => taken() === 1);
    replace();
    expect((await call).brokerEpoch).toBe(7);
  });

  it("is not asked where it was known to be replaced before", async () => {
    const { way, other, replace, taken } = await frozen();
    replace();
    await waitFor("the other one to be known", () => way.endpoint === other.endpoint);
    expect((await register(way)).brokerEpoch).toBe(7);
    expect(taken()).toBe(0);
  });

  it("is heard where it answers all the same, a moment after it was replaced", async () => {
    const { silent, way, other, replace } = await frozen();
    let answer: (of: { brokerEpoch: number }) => void = () => undefined;
    let isAsked = false;
    silent.register = () => {
      isAsked = true;
      return new Promise((resolve) => {
        answer = resolve;
      });
    };
    const call = register(way);
    await waitFor("the call to arrive", () => isAsked);
    replace();
    await waitFor("the other one to be known", () => way.endpoint === other.endpoint);
    answer({ brokerEpoch: 1 });
    expect((await call).brokerEpoch).toBe(1);
  });

  it("is asked again where it says that it is not yet what was told of it", async () => {
    const { silent, other, way } = await frozen();
    silent.tell({ controllerEpoch: 3, controllerId: 1, endpoint: silent.endpoint });
    let isOtherAsked = false;
    other.register = () => {
      isOtherAsked = true;
      throw notController();
    };
    silent.register = () => ({ brokerEpoch: 9 });
    await waitFor("both to be listened to", () => silent.listeners > 0 && other.listeners > 0);
    const calls = failsOnce(silent, notController());
    expect((await register(way)).brokerEpoch).toBe(2);
    expect(calls()).toBe(2);
    expect(isOtherAsked).toBe(false);
  });

  it("is not waited for longer than until another one tells of itself", async () => {
    const other = await controller();
    const after: typeof runtime.scheduler.after = (delayMs, task) =>
      // The longest pauses never end by themselves.
      delayMs >= 1000 ? () => undefined : runtime.scheduler.after(delayMs, task);
    const pool = createChannelPool({ runtime });
    const way = createActiveController({
      endpoints: ["127.0.0.1:1", other.endpoint],
      pool,
      runtime: { ...runtime, scheduler: { ...runtime.scheduler, after } },
    });
    const listening = new AbortController();
    const followed = way.follow(listening.signal);
    await waitFor("the other one to be listened to", () => other.listeners > 0);
    const paused = way.pause(20, listening.signal);
    other.tell({ controllerEpoch: 2, controllerId: 2, endpoint: other.endpoint });
    await paused;
    expect(way.endpoint).toBe(other.endpoint);
    listening.abort();
    await followed;
    pool.close();
  });

  it("is asked again within moments where it was told of before it served, and as ever where it does not begin", async () => {
    const other = await controller();
    const time = createManualTime();
    const pool = createChannelPool({ runtime });
    const way = createActiveController({
      endpoints: ["127.0.0.1:1", other.endpoint],
      pool,
      runtime: { ...runtime, scheduler: time.scheduler },
    });
    const listening = new AbortController();
    const followed = way.follow(listening.signal);
    await waitFor("the other one to be listened to", () => other.listeners > 0);
    other.tell({ controllerEpoch: 2, controllerId: 2, endpoint: other.endpoint });
    await waitFor("it to be asked", () => way.endpoint === other.endpoint);
    const ends: string[] = [];
    const pause = (name: string) => {
      way.pause(20, listening.signal).then(
        () => ends.push(name),
        () => undefined,
      );
    };
    pause("soon");
    await time.advance(50);
    expect(ends).toEqual(["soon"]);
    await time.advance(beginningMs);
    pause("as ever");
    await time.advance(900);
    expect(ends).toEqual(["soon"]);
    await time.advance(1100);
    expect(ends).toEqual(["soon", "as ever"]);
    listening.abort();
    await followed;
    pool.close();
  });

  it("says nothing of the one that is asked when its errors come late", async () => {
    const { silent, other, way, replace } = await frozen();
    replace();
    await waitFor("the other one to be known", () => way.endpoint === other.endpoint);
    way.learnFrom(lost(), silent.endpoint);
    expect(way.endpoint).toBe(other.endpoint);
  });

  it("and is told to be the active one is connected to anew, and one that is heard keeps its connection", async () => {
    const [silent, other] = [await controller(), await controller()];
    await silent.stop();
    const pool = createChannelPool({ runtime });
    const renewed: string[] = [];
    const renew = (endpoint: string) => {
      renewed.push(endpoint);
      pool.renew(endpoint);
    };
    let tries = 0;
    const get: typeof pool.get = (endpoint, trafficClass) => {
      if (endpoint === silent.endpoint) tries += 1;
      return pool.get(endpoint, trafficClass);
    };
    const endpoints = [silent.endpoint, other.endpoint];
    const way = createActiveController({ endpoints, pool: { get, renew }, runtime });
    const listening = new AbortController();
    const followed = way.follow(listening.signal);
    await waitFor("the silent one to be tried again", () => tries > 1);
    other.tell({ controllerEpoch: 2, controllerId: 2, endpoint: other.endpoint });
    await waitFor("the other one to be known", () => way.endpoint === other.endpoint);
    expect(renewed).toEqual([]);
    other.tell({ controllerEpoch: 3, controllerId: 1, endpoint: silent.endpoint });
    await waitFor("the silent one to be asked", () => way.endpoint === silent.endpoint);
    expect(renewed).toEqual([silent.endpoint]);
    listening.abort();
    await followed;
    pool.close();
  });

  /** One that is asked and refuses whoever listens, behind a proxy, and another one that tells of it. */
  async function unheard() {
    const [asked, other] = [await controller(), await controller()];
    asked.refusesListeners = true;
    other.register = () => {
      throw notController();
    };
    const answers: (() => void)[] = [];
    asked.register = () => new Promise((resolve) => answers.push(() => resolve({ brokerEpoch: 7 })));
    const proxy = await createTcpProxy({ target: { port: Number(asked.endpoint.split(":")[1]) } });
    const endpoint = `127.0.0.1:${proxy.port}`;
    const pool = createChannelPool({ runtime });
    let tries = 0;
    let isRenewed = false;
    const get: typeof pool.get = (to, trafficClass) => {
      if (to === endpoint) tries += 1;
      return pool.get(to, trafficClass);
    };
    const renew = (to: string) => {
      pool.renew(to);
      isRenewed = true;
    };
    const way = createActiveController({ endpoints: [endpoint, other.endpoint], pool: { get, renew }, runtime });
    const listening = new AbortController();
    const followed = way.follow(listening.signal);
    cleanups.push(async () => {
      listening.abort();
      await followed;
      pool.close();
      await proxy.close();
    });
    await waitFor("it to be tried again", () => tries > 1);
    await waitFor("the connection", () => pool.get(endpoint, "control").state() === "ready");
    return {
      way,
      proxy,
      asked: () => waitFor("the call to arrive", () => answers.length > 0),
      async tell() {
        other.tell({ controllerEpoch: 2, controllerId: 1, endpoint });
        await waitFor("it to be told of", () => isRenewed);
      },
      answer() {
        for (const each of answers) each();
        return answers.length;
      },
    };
  }

  it("and is told to be the active one goes on with what it was asked over a connection that works", async () => {
    const { way, asked, tell, answer } = await unheard();
    const call = register(way);
    await asked();
    await tell();
    expect(answer()).toBe(1);
    expect((await call).brokerEpoch).toBe(7);
  });

  it("and is told to be the active one is asked over a new connection what waited for the old one", async () => {
    const { way, proxy, asked, tell, answer } = await unheard();
    proxy.forward("toServer", "hold");
    proxy.reset();
    await waitFor("the connection to be lost", () => way.channel("control").state() !== "ready");
    const call = register(way);
    const failed = call.catch((error: unknown) => error);
    await tell();
    proxy.forward("toServer", "pass");
    await Promise.race([asked(), failed]);
    expect(answer()).toBe(1);
    expect(await failed).toMatchObject({ brokerEpoch: 7 });
  });

  it("is not listened to where it is the only one", async () => {
    const one = await controller();
    await wayTo(one.endpoint).follow(new AbortController().signal);
    expect(one.listeners).toBe(0);
  });
});

describe("the pause before a further try", () => {
  it("grows from 50 to 2,000 ms, the later half of it drawn", () => {
    const random = createSeededRandom(1);
    for (let failures = 0; failures < 100; failures++) {
      const most = Math.min(2000, 50 * 2 ** failures);
      const pause = backoffMs(failures, random);
      expect(pause).toBeGreaterThanOrEqual(most / 2);
      expect(pause).toBeLessThanOrEqual(most);
    }
  });
});
