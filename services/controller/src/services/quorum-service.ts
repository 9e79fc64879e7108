/** Who takes part in the consensus, and changing that: the part of the MetadataService that is about members. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { AppendFailure, Consensus, Member, MemberChange, MemberRefusalReason } from "@tidemark/consensus";
import { controllerId, type DirectoryId, directoryId } from "@tidemark/ids";
import type { MetadataService, QuorumMemberSchema } from "@tidemark/proto/admin/v1/metadata";
import { Outcome, Reason } from "@tidemark/proto/common/v1";
import { type ServiceImpl, TidemarkError } from "@tidemark/rpc";
import type { QuorumDetails } from "../backend.ts";
import type { ControllerCore } from "../core.ts";
import { appendError, invalidArgument, notController } from "../errors.ts";

type QuorumMethods = "describeQuorum" | "addVoter" | "removeVoter" | "transferController";

export interface QuorumServiceOptions {
  readonly consensus: Consensus;
  readonly backend: string;
  readonly leader: () => { readonly id: number; readonly controllerEpoch: number } | undefined;
  /** What the backend knows of itself. Absent: nothing. */
  readonly quorum?: (() => QuorumDetails) | undefined;
  readonly preferNext?: ((directory: DirectoryId) => void) | undefined;
}

export function createQuorumService(
  core: ControllerCore,
  { consensus, backend, leader, quorum, preferNext }: QuorumServiceOptions,
): Pick<ServiceImpl<typeof MetadataService>, QuorumMethods> {
  const rejectReadably = (error: unknown): never => {
    throw core.readError(error);
  };
  const describe = (members: readonly Member[]) => members.map((member) => memberOf(member, quorum?.()));
  const change = async (wanted: MemberChange) => {
    const outcome = await consensus.changeMembers(wanted).catch(rejectReadably);
    if (outcome.kind === "changed") return { members: describe(outcome.members) };
    if (outcome.kind === "refused") throw refusalOf(outcome.reason, outcome.message);
    throw new TidemarkError({
      reason: Reason.METADATA_OUTCOME_UNKNOWN,
      message: `${outcome.message}. Look at the quorum`,
    });
  };
  return {
    async describeQuorum() {
      const members = await consensus.describeMembers().catch(rejectReadably);
      const active = leader();
      const details = quorum?.();
      return {
        backend,
        controllerEpoch: active?.controllerEpoch ?? 0,
        ...(active === undefined ? {} : { leader: active.id }),
        members: describe(members),
        ...(details === undefined ? {} : { term: BigInt(details.term), commit: BigInt(details.commit) }),
      };
    },
    addVoter: (request) =>
      change({
        kind: "addVoter",
        member: checked(() => ({
          controllerId: controllerId(request.controllerId),
          directoryId: directoryId(request.directoryId),
          endpoint: endpointOf(request.endpoint),
        })),
      }),
    async removeVoter(request) {
      const members = await consensus.describeMembers().catch(rejectReadably);
      const found = members.find(({ controllerId: id }) => id === request.controllerId);
      const known = request.directoryId === "" ? found?.directoryId : checked(() => directoryId(request.directoryId));
      if (known === undefined) throw invalidArgument(`controller_id: controller ${request.controllerId} is no member`);
      return change({
        kind: "removeVoter",
        controllerId: checked(() => controllerId(request.controllerId)),
        directoryId: known,
        force: request.force,
      });
    },
    async transferController({ to }) {
      if (core.role.term === undefined) throw core.role.error();
      if (to !== undefined) {
        if (preferNext === undefined) throw cannotChoose(backend);
        const members = await consensus.describeMembers().catch(rejectReadably);
        preferNext(nextLeader(members, { to, active: leader()?.id }));
      }
      const failure = await consensus.resign().catch(rejectReadably);
      if (failure !== undefined) throw notHandedOver(failure);
      return {};
    },
  };
}

/** The store did not take it: this controller claims its place again, and nobody else may. */
function notHandedOver(failure: AppendFailure): TidemarkError {
  const { reason, message, outcome } = appendError(failure, { isPartial: false, active: undefined });
  const told = `The leadership is not handed over, and this controller takes it up again: ${message}`;
  return new TidemarkError({ reason, message: told, outcome });
}

function cannotChoose(backend: string): TidemarkError {
  const message = `to: on the backend ${backend} whoever claims the place first has it: leave the target out`;
  return new TidemarkError({ reason: Reason.MEMBERS_NOT_MANAGED_HERE, message });
}

/** The directory of the member that is to be active. Throws for one that cannot be. */
function nextLeader(
  members: readonly Member[],
  { to, active }: { readonly to: number; readonly active: number | undefined },
): DirectoryId {
  const found = members.find(({ controllerId: id }) => id === to);
  if (found === undefined) throw invalidArgument(`to: controller ${to} is no member`);
  if (to === active) throw invalidArgument(`to: controller ${to} is the active one already`);
  if (!found.voter) throw invalidArgument(`to: controller ${to} does not vote yet`);
  if (!found.alive) throw invalidArgument(`to: controller ${to} is not alive`);
  return found.directoryId;
}

function memberOf(member: Member, details: QuorumDetails | undefined): MessageInitShape<typeof QuorumMemberSchema> {
  const { controllerId: id, directoryId: directory, endpoint, voter, alive } = member;
  const progress = details?.members.get(directory);
  return {
    controllerId: id,
    directoryId: directory,
    endpoint,
    voter,
    alive,
    ...(progress === undefined
      ? {}
      : {
          match: BigInt(progress.match),
          lag: BigInt(progress.lag),
          lastContactMs: Math.round(progress.lastContactMs),
        }),
  };
}

function refusalOf(reason: MemberRefusalReason, message: string): TidemarkError {
  switch (reason) {
    case "MEMBERS_NOT_MANAGED_HERE":
      return new TidemarkError({ reason: Reason.MEMBERS_NOT_MANAGED_HERE, message });
    case "NOT_LEADER":
      return notController(undefined);
    case "CHANGE_IN_PROGRESS":
      return new TidemarkError({ reason: Reason.UNAVAILABLE, message, outcome: Outcome.NOT_APPLIED, retriable: true });
    case "NO_LIVING_MAJORITY":
      return new TidemarkError({ reason: Reason.NO_LIVING_MAJORITY, message });
    case "INVALID_MEMBER":
      return invalidArgument(message);
  }
}

function endpointOf(text: string): string {
  if (!/^[^\s@]+:\d{1,5}$/.test(text)) throw new RangeError(`endpoint: ${JSON.stringify(text)} is no host:port`);
  return text;
}

function checked<Value>(read: () => Value): Value {
  try {
    return read();
  } catch (error) {
    if (error instanceof RangeError) throw invalidArgument(error.message);
    throw error;
  }
}
