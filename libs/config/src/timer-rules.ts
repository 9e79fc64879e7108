import type { Finding, Rule } from "./schema.ts";

/**
 * How the timers must relate, for a process to start.
 *
 * | timer                              | relation                                                        |
 * |------------------------------------|-----------------------------------------------------------------|
 * | broker.heartbeat.interval.ms       | at most a sixth of broker.session.timeout.ms                    |
 * | broker.connection.grace.ms         | below broker.session.timeout.ms                                 |
 * | broker.session.timeout.ms          | below replica.lag.time.max.ms                                   |
 * | replica.fetch.wait.max.ms          | below a quarter of replica.lag.time.max.ms                      |
 * | consensus.etcd.renewal.ms          | at most a third of consensus.etcd.lease.ms                      |
 * | consensus.etcd.lease.ms            | whole seconds: etcd keeps no finer ones                         |
 * | consensus.raft.heartbeat.ms        | at most a fifth of consensus.raft.election.timeout.ms           |
 * | request.timeout.ms                 | at most request.timeout.max.ms                                  |
 */
function timerRule<Short extends string, Long extends string>(of: {
  readonly short: Short;
  /** How often the shorter one must fit into the longer one. */
  readonly times: number;
  readonly long: Long;
  /** True where "exactly so often" is not enough. */
  readonly strictly: boolean;
  readonly why: string;
}): Rule<Readonly<Record<Short | Long, number>>> {
  const { short, long, times, strictly, why } = of;
  return {
    needs: [short, long],
    check: (values) => {
      const scaled = values[short] * times;
      if (strictly ? scaled < values[long] : scaled <= values[long]) return [];
      const share = times === 1 ? long : `${long} / ${times}`;
      return [
        {
          keys: [short, long],
          reason: `must be ${strictly ? "below" : "at most"} ${share}`,
          remedy: `Lower ${short} or raise ${long}: ${why}.`,
          severity: "error",
        },
      ];
    },
  };
}

export const heartbeatFitsSession = timerRule({
  short: "broker.heartbeat.interval.ms",
  times: 6,
  long: "broker.session.timeout.ms",
  strictly: false,
  why: "a few lost heartbeats must not end a session",
});

export const graceFitsSession = timerRule({
  short: "broker.connection.grace.ms",
  times: 1,
  long: "broker.session.timeout.ms",
  strictly: true,
  why: "the grace only ends sessions sooner than their timeout does",
});

export const sessionFitsLag = timerRule({
  short: "broker.session.timeout.ms",
  times: 1,
  long: "replica.lag.time.max.ms",
  strictly: true,
  why: "a leader must be found dead before its followers look slow",
});

export const fetchWaitFitsLag = timerRule({
  short: "replica.fetch.wait.max.ms",
  times: 4,
  long: "replica.lag.time.max.ms",
  strictly: true,
  why: "a follower that waits for data must not look slow",
});

export const etcdRenewalFitsLease = timerRule({
  short: "consensus.etcd.renewal.ms",
  times: 3,
  long: "consensus.etcd.lease.ms",
  strictly: false,
  why: "a lease must outlast two lost renewals",
});

export const raftHeartbeatFitsElection = timerRule({
  short: "consensus.raft.heartbeat.ms",
  times: 5,
  long: "consensus.raft.election.timeout.ms",
  strictly: false,
  why: "a few lost heartbeats must not start an election",
});

export const requestTimeoutFitsCap = timerRule({
  short: "request.timeout.ms",
  times: 1,
  long: "request.timeout.max.ms",
  strictly: false,
  why: "a call that gives no deadline must not get more than one that does",
});

export const etcdLeaseIsWholeSeconds: Rule<{ readonly "consensus.etcd.lease.ms": number }> = {
  needs: ["consensus.etcd.lease.ms"],
  check: (values): readonly Finding[] =>
    values["consensus.etcd.lease.ms"] % 1000 === 0
      ? []
      : [
          {
            keys: ["consensus.etcd.lease.ms"],
            reason: "must be whole seconds",
            remedy: "Write a multiple of 1000: etcd grants leases by the second, and rounding would break the promise.",
            severity: "error",
          },
        ],
};
