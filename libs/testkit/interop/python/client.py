"""Produces and fetches through stubs that grpcio-tools made from the project's protos.

Usage: client.py GATEWAY TOPIC BROKER...    each as HOST:PORT

Prints "kill HOST:PORT" and "start HOST:PORT" where that is to happen to a broker, and waits for a line that says it has.
"""

import itertools
import sys
import time

import grpc
from google.rpc import status_pb2

from tidemark.admin.v1 import admin_pb2, admin_pb2_grpc
from tidemark.common.v1 import common_pb2
from tidemark.log.v1 import log_pb2, log_pb2_grpc

PAST_DOUBLES = 9007199254740993
# Only there to end what would wait for ever.
STORY_SECONDS = 60


def produce_and_fetch(log, topic):
    produced = log.Produce(
        log_pb2.ProduceRequest(
            topic=topic,
            partition=0,
            records=[
                log_pb2.Record(text="grün"),
                log_pb2.Record(key=b"\x00\xff", value=b"\xff\x00"),
                log_pb2.Record(key_text="gone"),
            ],
        )
    )
    assert produced.results[0].base_offset == 0, produced
    request = log_pb2.FetchRequest(topic=topic, format=log_pb2.FORMAT_TEXT, max_records=2)
    records = []
    for _ in range(2):
        answer = log.Fetch(request)
        records += answer.partitions[0].records
        request = answer.next
    assert [record.offset for record in records] == [0, 1, 2], records
    assert records[0].text == "grün", records
    assert (records[1].key, records[1].value) == (b"\x00\xff", b"\xff\x00"), records
    assert records[2].WhichOneof("value_form") is None, records


def subscribe(log, topic):
    """Follows the topic until it has everything, then further, as far as the credit goes."""
    frames = log.Subscribe(
        log_pb2.SubscribeRequest(topic=topic, format=log_pb2.FORMAT_TEXT, credit_records=4)
    )
    first = next(frames)
    assert [each.partition for each in first.assigned.partitions] == [0], first
    offsets = []
    for frame in frames:
        if frame.WhichOneof("frame") == "data":
            offsets += [record.offset for record in frame.data.records]
        elif frame.WhichOneof("frame") == "caught_up":
            assert frame.caught_up.high_watermark == 3, frame
            log.Produce(log_pb2.ProduceRequest(topic=topic, records=[log_pb2.Record(text="more")]))
    assert offsets == [0, 1, 2, 3], offsets


def follow_hint(brokers, topic):
    """Asks every broker itself: who does not lead the partition says who does."""
    request = log_pb2.ProduceRequest(topic=topic, partition=0, records=[log_pb2.Record(text="direct")])
    hints = []
    for broker in brokers:
        with grpc.insecure_channel(broker) as channel:
            try:
                log_pb2_grpc.LogServiceStub(channel).Produce(request)
            except grpc.RpcError as error:
                detail = detail_of(error)
                assert detail.reason == common_pb2.REASON_NOT_LEADER, detail
                hints.append(detail.leader.endpoint)
    assert len(hints) == len(brokers) - 1, hints
    for hint in hints:
        with grpc.insecure_channel(hint) as channel:
            produced = log_pb2_grpc.LogServiceStub(channel).Produce(request)
            assert produced.results[0].base_offset > 3, produced


def follow_leader_change(admin, brokers, topic):
    """The leader is killed while it is read from. What was acknowledged is read to its end at the next one."""
    admin.CreateTopic(admin_pb2.CreateTopicRequest(topic=topic, partitions=1, replication_factor=len(brokers)))
    sent, read = [], []

    def produce(text):
        record = log_pb2.Record(text=text)
        return lambda log: log.Produce(log_pb2.ProduceRequest(topic=topic, partition=0, records=[record]))

    def subscribe(log):
        start = log_pb2.FetchPartition(partition=0, offset=len(read))
        return log.Subscribe(
            log_pb2.SubscribeRequest(topic=topic, partitions=[start], format=log_pb2.FORMAT_TEXT),
            timeout=STORY_SECONDS,
        )

    def read_until(frames, count):
        for frame in frames:
            for record in frame.data.records:
                assert record.offset == len(read), (record, read)
                read.append(record.text)
            if len(read) >= count:
                return

    former, leader_epoch = brokers[0], None
    for number in range(10):
        former, produced = call_leader(brokers, former, produce(f"before {number}"))
        sent.append(f"before {number}")
        leader_epoch = produced.results[0].leader_epoch
    with grpc.insecure_channel(former) as channel:
        frames = subscribe(log_pb2_grpc.LogServiceStub(channel))
        read_until(frames, len(sent))
        ask("kill", former)
        try:
            read_until(frames, len(sent) + 1)
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.UNAVAILABLE, error
        else:
            raise AssertionError("a stream outlived its broker")

    failures = []
    leader = former
    for number in range(10):
        leader, produced = call_leader(brokers, leader, produce(f"after {number}"), failures)
        sent.append(f"after {number}")
        assert produced.results[0].leader_epoch > leader_epoch, produced
    # Nobody answers there any more, so there is no hint either.
    assert failures[0] == (former, grpc.StatusCode.UNAVAILABLE, None), failures
    assert leader != former, failures
    with grpc.insecure_channel(leader) as channel:
        read_until(subscribe(log_pb2_grpc.LogServiceStub(channel)), len(sent))
    assert read == sent, (read, sent)

    ask("start", former)
    # Those that follow say who leads: the third broker, and the former leader once it has heard of it.
    for follower in brokers:
        if follower != leader:
            failures = []
            assert call_leader([follower], follower, produce("hinted"), failures)[0] == leader, failures
            assert (follower, grpc.StatusCode.FAILED_PRECONDITION, leader) in failures, failures


def call_leader(brokers, endpoint, call, failures=None):
    """Calls at an endpoint, then where each failure's hint leads, or at the brokers in turn where there is none."""
    turns = itertools.cycle(brokers)
    until = time.monotonic() + STORY_SECONDS
    while True:
        try:
            with grpc.insecure_channel(endpoint) as channel:
                return endpoint, call(log_pb2_grpc.LogServiceStub(channel))
        except grpc.RpcError as error:
            hint = hint_in(error)
            if failures is not None:
                failures.append((endpoint, error.code(), hint))
            if time.monotonic() > until:
                raise
        if hint is None:
            # An election takes a moment.
            time.sleep(0.1)
        endpoint = hint or next(turns)


def hint_in(error):
    """Where the leader is, as far as the failed call says it. A call that nobody answered has no details."""
    if "grpc-status-details-bin" not in dict(error.trailing_metadata() or ()):
        assert error.code() == grpc.StatusCode.UNAVAILABLE, error
        return None
    detail = detail_of(error)
    assert detail.retriable and detail.outcome == common_pb2.OUTCOME_NOT_APPLIED, detail
    return detail.leader.endpoint or None


def ask(wish, endpoint):
    print(wish, endpoint, flush=True)
    assert sys.stdin.readline() == "done\n"


def detail_of(error):
    details = dict(error.trailing_metadata())["grpc-status-details-bin"]
    status = status_pb2.Status.FromString(details)
    detail = common_pb2.ErrorDetail()
    assert any(each.Unpack(detail) for each in status.details), status
    return detail


def read_typed_error(log):
    try:
        log.Produce(log_pb2.ProduceRequest(topic="no-such-topic", records=[log_pb2.Record(text="x")]))
    except grpc.RpcError as error:
        detail = detail_of(error)
        assert detail.reason == common_pb2.REASON_UNKNOWN_TOPIC, detail
        assert detail.outcome == common_pb2.OUTCOME_NOT_APPLIED, detail
        return
    raise AssertionError("an unknown topic was not refused")


def read_past_doubles(log, topic):
    position = log_pb2.FetchPartition(partition=0, offset=PAST_DOUBLES)
    try:
        log.Fetch(log_pb2.FetchRequest(topic=topic, partitions=[position]))
    except grpc.RpcError as error:
        assert str(PAST_DOUBLES) in error.details(), error.details()
        return
    raise AssertionError("an offset that does not exist was not refused")


def main(server, topic, *brokers):
    with grpc.insecure_channel(server) as channel:
        log = log_pb2_grpc.LogServiceStub(channel)
        admin = admin_pb2_grpc.AdminServiceStub(channel)
        admin.CreateTopic(admin_pb2.CreateTopicRequest(topic=topic, partitions=1, replication_factor=1))
        produce_and_fetch(log, topic)
        subscribe(log, topic)
        follow_hint(brokers, topic)
        read_typed_error(log)
        read_past_doubles(log, topic)
        follow_leader_change(admin, brokers, f"{topic}-moving")
    print("ok")


main(*sys.argv[1:])
