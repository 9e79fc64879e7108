import {
  EtcdError,
  type EtcdStubs,
  type LeaseKeepAlive,
  noLease,
  type RangeRequest,
  type WatchRequest,
  type WatchResponse,
} from "../../stubs.ts";

/** What a test does something with. */
export interface BehindTools {
  readonly stubs: EtcdStubs;
  /** Above the keys of the test. Ends with a slash. */
  readonly prefix: string;
  /** The least that a lease is granted, seconds. */
  readonly ttlSecondsMin: number;
  /** Lets things happen until the condition holds. */
  until(condition: () => boolean, what: string): Promise<void>;
}

export type Tools = ReturnType<typeof toolsFor>;

export function toolsFor(etcd: BehindTools) {
  const { stubs } = etcd;
  const key = (text: string) => etcd.prefix + text;
  const value = (text: string) => Uint8Array.from(Buffer.from(text));
  /** The promise's value or error, while things happen. */
  const settled = async <Value>(promise: Promise<Value>): Promise<Value> => {
    let isSettled = false;
    const settle = () => {
      isSettled = true;
    };
    promise.then(settle, settle);
    await etcd.until(() => isSettled, "the call is answered");
    return promise;
  };
  const putAll = (names: readonly string[], text = "1", lease = noLease) =>
    settled(
      stubs.txn({
        compares: [],
        success: names.map((each) => ({ kind: "put", key: key(each), value: value(text), lease }) as const),
      }),
    );
  const all = { key: etcd.prefix, rangeEnd: `${etcd.prefix.slice(0, -1)}0` };
  return {
    ...etcd,
    key,
    value,
    all,
    settled,
    putAll,
    put: (text: string, given = "1", lease = noLease) => putAll([text], given, lease),
    range: (request: Partial<RangeRequest> = {}) => settled(stubs.range({ ...all, ...request })),
    names: async () => (await settled(stubs.range(all))).entries.map((entry) => entry.key.slice(etcd.prefix.length)),
    codeOf: async (promise: Promise<unknown>) => {
      const error = await settled(promise.catch((reason: unknown) => reason));
      if (!(error instanceof EtcdError)) throw new Error(`No EtcdError but ${String(error)}`);
      return error.code;
    },
    watch(request: Partial<WatchRequest> & Pick<WatchRequest, "startRevision">) {
      const responses: WatchResponse[] = [];
      const ended: EtcdError[] = [];
      const stream = stubs.watch(
        { ...all, ...request },
        { onMessage: (response) => responses.push(response), onEnd: (error) => ended.push(error) },
      );
      return { responses, ended, stream, events: () => responses.flatMap(({ events }) => events) };
    },
    keepAlive(lease: string) {
      const answers: number[] = [];
      const ended: EtcdError[] = [];
      const stream: LeaseKeepAlive = stubs.leaseKeepAlive(lease, {
        onMessage: ({ ttlSeconds }) => answers.push(ttlSeconds),
        onEnd: (error) => ended.push(error),
      });
      return { answers, ended, stream };
    },
  };
}
